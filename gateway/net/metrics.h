/* SPDX-License-Identifier: PostgreSQL */
/* GET /metrics. See metrics.c. */
#ifndef NET_METRICS_H
#define NET_METRICS_H

#include "net/http.h"

extern void metrics_begin(struct http *http);

#endif
