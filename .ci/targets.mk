# Developer commands; included last by the top Makefile. A line with two # after a target is its entry in `make help`.
#
# Long-running recipes exec their script: a signal that make passes on then reaches it and not a shell in between.
# The suites' bodies are in .ci/suites.sh; `make check` and `make installcheck` are PGXS's, not ours.

suites_run = exec .ci/suites.sh

.PHONY: run psql env reset test test-extension test-gateway bench-ids bench-send bench-calls bench-domain bench-sync bench-delivery bench bench-hostile soak test-random test-minimal test-full-queue check-delivery lint format help

run: ## page and chat on http://127.0.0.1:8080 (PORT=8081, DEMO=1 for demo users); Ctrl-C ends it
	@exec gateway/run.sh

psql: ## psql on the cluster of `make run`
	@CHAT_CLUSTER=run exec extension/test/cluster.sh psql

env: ## settings for other clients of that cluster: eval "$(make -s env)"
	@CHAT_CLUSTER=run exec extension/test/cluster.sh env

reset: ## throws that cluster's data away
	@CHAT_CLUSTER=run exec extension/test/cluster.sh destroy

test: ## everything below, from nothing; ends with "N passed, N failed"
	@$(suites_run)

test-extension: ## the suites of the extension
	@$(suites_run) regress regress-bare isolation tap random

test-gateway: ## the suites of the gateway
	@$(suites_run) unit fuzz layers e2e e2e-asan web check

# One target for each suite that the gateway's makefile has no target of that name for.
test-warnings: ## gcc and clang build a copy of the tree without a warning
test-regress: ## sql/*.sql against expected/*.out, library preloaded
test-regress-bare: ## the same without preload
test-isolation: ## races: extension/test/specs
test-tap: ## crashes, restarts, upgrades: extension/test/t
test-layers: ## no include goes up
test-e2e: ## real gateway, real cluster, real sockets
test-e2e-asan: ## the same with the address sanitizer
test-web: ## the web client in a browser
test-check: ## delivery checked while everything breaks, and the checker by bugs planted

suite_targets = test-warnings test-regress test-regress-bare test-isolation test-tap test-layers test-e2e \
	test-e2e-asan test-web test-check
.PHONY: $(suite_targets)
$(suite_targets):
	@$(suites_run) $(@:test-%=%)

bench-ids: ## ids a second, on a cluster of its own
	@exec .ci/suites.sh bench-ids

bench-send: ## what send_message costs, single and in groups, by ways of delivery, on a cluster of its own
	@exec .ci/suites.sh bench-send

bench-calls: ## what the other frequent calls cost, by rows and by statements, on a cluster of its own
	@exec .ci/suites.sh bench-calls

bench-domain: ## chat lists and history at any depth of 10 million messages, on a cluster of its own
	@exec .ci/suites.sh bench-domain

bench-sync: ## coming back to 5,000 chats over 4 million messages, on a cluster of its own
	@exec .ci/suites.sh bench-sync

bench-delivery: ## what delivery costs senders, and how soon it is done, on a cluster of its own
	@exec .ci/suites.sh bench-delivery

bench: ## the load generator's standard set against the bars, on a cluster and a gateway of its own
	@exec .ci/suites.sh bench

bench-hostile: ## what a bystander bears while one user attacks, attack by attack (ATTACK=search,register SECONDS=10 RUNS=3)
	@ATTACK='$(ATTACK)' SECONDS='$(SECONDS)' RUNS='$(RUNS)' exec .ci/suites.sh bench-hostile

soak: ## whether a worker's memory stays where it is, over calls and connects (CALLS=1000000 CONNECTS=100000)
	@CALLS='$(or $(CALLS),1000000)' CONNECTS='$(or $(CONNECTS),100000)' exec .ci/suites.sh soak

test-random: ## random calls by 16 sessions, then verify() (CALLS=200000 SEED=7)
	@CALLS='$(or $(CALLS),20000)' SEED='$(or $(SEED),1)' exec .ci/suites.sh random-calls

test-minimal: ## `make run` and `make test` of the last commit in a bare Debian made for it (SUITES="e2e web": these alone)
	@exec .ci/minimal $(SUITES)

test-full-queue: ## a NOTIFY queue that is really full: 8 GB of disk, some minutes
	@CHAT_TAP=t/074_full_queue.pl CHAT_FULL_QUEUE=1 exec .ci/suites.sh tap

check-delivery: ## delivery checked by clients while everything breaks (SECONDS=600 SEED=7 USERS=16 BUG=lost)
	@DURATION='$(or $(SECONDS),60)' SEED='$(SEED)' USERS='$(USERS)' BUG='$(BUG)' exec .ci/suites.sh check-delivery

c_files = $(shell find extension gateway -name '*.[ch]' -not -path '*/node_modules/*')

lint: ## clang-format has nothing to change
	@.ci/packages lint
	clang-format --dry-run -Werror $(c_files)

format: ## clang-format changes it
	@.ci/packages lint
	clang-format -i $(c_files)

help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "%-18s %s\n", $$1, $$2 }' Makefile gateway/build.mk .ci/targets.mk
