# chat: the extension (PGXS) and the gateway, one Makefile.
#
# `make help` lists the targets. Variables of ours are lower-case or start with CHAT_: PGXS owns names such as
# INSTALL, DATA and DOCS, and `make check` / `make installcheck` belong to it too.

PG_CONFIG ?= pg_config
EXTENSION = chat
# chat.control alone holds the version.
chat_version := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" chat.control)

MODULE_big = chat
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard extension/*.c)))
# Earlier releases' install scripts, so that an old one can be installed and upgraded from.
DATA = $(wildcard extension/updates/chat--*.sql)
# Releases that can be upgraded from: the left sides of extension/updates/A--B.sql.
chat_origins := $(sort $(foreach file,$(notdir $(wildcard extension/updates/[0-9]*.sql)),$(firstword $(subst --, ,$(file)))))
DATA_built = chat--$(chat_version).sql $(chat_origins:%=chat--%--$(chat_version).sql)
EXTRA_CLEAN = chat--*.sql
override with_llvm = no

# Server headers do not pass -Wextra, so they are system headers to us; clang has not heard of two of the
# flags PostgreSQL was built with.
CHAT_WARNINGS = -Wall -Wextra -Werror -Wno-unknown-warning-option -Wno-ignored-optimization-argument
# Same source, same bytes, wherever the checkout is: .ci/install compares.
PG_CFLAGS = $(CHAT_WARNINGS) -Wno-declaration-after-statement -ffile-prefix-map=$(CURDIR)=.
PG_CPPFLAGS = -isystem $(shell $(PG_CONFIG) --includedir-server) -Iextension

# On a bare machine there is no PGXS yet: those targets work that install the packages and come back.
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
ifeq ($(PGXS),)
all install:
	@echo "PostgreSQL's headers are missing: run .ci/packages" >&2; false
else
include $(PGXS)
endif

all: chat-gateway

$(OBJS): $(wildcard extension/*.h)

# The install script is schema (state) then api (behaviour). OR REPLACE is stripped, so that an object somebody
# made beforehand is never adopted.
schema_sql = $(sort $(wildcard extension/schema/*.sql))
api_sql = $(sort $(wildcard extension/api/*.sql))

chat--$(chat_version).sql: $(schema_sql) $(api_sql) chat.control
	{ printf '%s\n' '\echo Use "CREATE EXTENSION chat CASCADE" to load this file. \quit'; cat $(schema_sql) $(api_sql); } \
	| sed 's/^CREATE OR REPLACE /CREATE /' > $@.tmp && mv $@.tmp $@

# An upgrade is the deltas from there to here, then all of api, but for the grants that the old release has made
# already: an upgrade must not give back what an operator has revoked.
chat--%--$(chat_version).sql: $(sort $(wildcard extension/updates/[0-9]*.sql)) $(api_sql) chat.control
	{ printf '%s\n' '\echo Use "ALTER EXTENSION chat UPDATE" to load this file. \quit'; \
	for delta in extension/updates/[0-9]*.sql; do from=$${delta##*/}; from=$${from%%--*}; \
		[ "$$(printf '%s\n' '$*' "$$from" | sort -V | head -n 1)" != '$*' ] || cat "$$delta"; done; \
	cat $(api_sql) | awk -v origin='$*' 'function number(v, part) { split(v, part, "."); return (part[1] * 1000 + part[2]) * 1000 + part[3] } \
		/^GRANT .*; -- since / && number($$NF) <= number(origin) { next } { print }'; } > $@.tmp && mv $@.tmp $@

include gateway/build.mk
include .ci/targets.mk
