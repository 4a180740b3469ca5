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

# Both scripts begin with a search_path that nobody can plant anything into, and end with the GRANT lines of api/ (the rule
# is in api/00_base.sql).
schema_sql = $(sort $(wildcard extension/schema/*.sql))
api_sql = $(sort $(wildcard extension/api/*.sql))
begin_script = printf '%s\n' '\echo Use "$(1)" to load this file. \quit' 'SET LOCAL search_path = pg_catalog, pg_temp;'
grant_lines = ^GRANT .*; -- since 

# The install script is schema (state) then api (behaviour). OR REPLACE is stripped, so that an object somebody
# made beforehand is never adopted.
chat--$(chat_version).sql: $(schema_sql) $(api_sql) chat.control Makefile
	{ $(call begin_script,CREATE EXTENSION chat CASCADE); sed '/$(grant_lines)/d' $(schema_sql) $(api_sql); sed -n '/$(grant_lines)/p' $(api_sql); } \
	| sed 's/^CREATE OR REPLACE /CREATE /' > $@.tmp && mv $@.tmp $@

# An update is the deltas from there to here, then all of api; its GRANT lines first as far as the old release had them, then the
# others.
chat--%--$(chat_version).sql: $(sort $(wildcard extension/updates/[0-9]*.sql)) extension/updates/keep.sql extension/updates/restore.sql $(api_sql) chat.control Makefile
	{ $(call begin_script,ALTER EXTENSION chat UPDATE); cat extension/updates/keep.sql; \
	for delta in extension/updates/[0-9]*.sql; do from=$${delta##*/}; from=$${from%%--*}; \
		[ "$$(printf '%s\n' '$*' "$$from" | sort -V | head -n 1)" != '$*' ] || cat "$$delta"; done; \
	sed '/$(grant_lines)/d' $(api_sql); \
	awk -v origin='$*' 'function number(v, part) { split(v, part, "."); return (part[1] * 1000 + part[2]) * 1000 + part[3] } \
		!/$(grant_lines)/ { next } number($$NF) <= number(origin) { print; next } { newer = newer $$0 "\n" } \
		END { printf "CREATE TABLE chat.old_grants AS TABLE chat.present_grants;\n%s", newer }' $(api_sql); \
	cat extension/updates/restore.sql; } > $@.tmp && mv $@.tmp $@

include gateway/build.mk
include .ci/targets.mk
