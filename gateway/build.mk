# How chat-gateway, its unit tests and its fuzzers are built; included by the top Makefile behind PGXS.
#
# Names begin with gw_: PGXS owns the usual ones. Its CFLAGS are not ours, so every rule says its flags itself.
# Objects lie under build/gateway/<variant>/, a folder per variant.

gw_libs = libwebsockets libuv jansson libpq libcrypto libcurl
gw_web_dir = $(datadir)/chat-gateway/web
gw_warnings = -Wall -Wextra -Werror
gw_include = -Igateway $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(gw_libs)))
gw_define = -D_GNU_SOURCE -DGW_VERSION='"$(chat_version)"' -DGW_WEB_ROOT='"$(gw_web_dir)"'
gw_flags = -std=gnu11 -g $(gw_warnings) $(gw_include) $(gw_define) -MMD -MP
gw_link = $(shell pkg-config --libs-only-L $(gw_libs)) -lwebsockets -luv -ljansson -lpq -lcurl -lcrypto
gw_asan = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

gw_sources = $(wildcard gateway/main.c gateway/base/*.c gateway/codec/*.c gateway/io/*.c gateway/pg/*.c \
	gateway/chat/*.c gateway/net/*.c)
gw_pure = $(wildcard gateway/base/*.c gateway/codec/*.c) gateway/chat/roster.c gateway/pg/queue.c
gw_objects = $(patsubst gateway/%.c,build/gateway/plain/%.o,$(gw_sources))
gw_asan_objects = $(patsubst gateway/%.c,build/gateway/asan/%.o,$(gw_sources))

chat-gateway: $(gw_objects) ## the daemon
	@echo "ld $@"
	@$(CC) -o $@ $^ $(gw_link)

chat-gateway-asan: build/chat-gateway-asan ## the daemon with address and undefined-behaviour sanitizers
build/chat-gateway-asan: $(gw_asan_objects)
	@echo "ld $@"
	@$(CC) $(gw_asan) -o $@ $^ $(gw_link)

build/gateway/plain/%.o: gateway/%.c
	@mkdir -p $(@D)
	@echo "cc $<"
	@$(CC) $(gw_flags) -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -c -o $@ $<

build/gateway/asan/%.o: gateway/%.c
	@mkdir -p $(@D)
	@echo "cc $<"
	@$(CC) $(gw_flags) -O1 $(gw_asan) -c -o $@ $<

# The load generator: base/ and a folder of its own.
gw_bench_objects = $(patsubst gateway/%.c,build/gateway/plain/%.o,$(wildcard gateway/bench/*.c) gateway/base/buf.c gateway/base/mem.c)

bench-build: build/chat-bench ## the load generator (build/chat-bench --help)
build/chat-bench: $(gw_bench_objects)
	@echo "ld $@"
	@$(CC) -o $@ $^ -luv

# Unit tests: one program a file in gateway/test/unit, linked with base/, codec/ and what else does no I/O.
gw_unit_tests = $(patsubst gateway/test/unit/%.c,build/test/unit/%,$(wildcard gateway/test/unit/*.c))

test-unit: $(gw_unit_tests) ## unit tests of the codecs, with sanitizers
	sh gateway/test/layers.sh
	prove -e '' $(gw_unit_tests)

build/test/unit/%: build/gateway/asan/test/unit/%.o $(patsubst gateway/%.c,build/gateway/asan/%.o,$(gw_pure))
	@mkdir -p $(@D)
	@echo "ld $@"
	@$(CC) $(gw_asan) -o $@ $^ -ljansson -lcrypto -lm

build/test/unit/bench: $(patsubst %,build/gateway/asan/bench/%.o,histogram ledger report scan)

# Fuzzers: `make fuzz SECONDS=60` runs each for so long.
gw_fuzzers = $(patsubst gateway/test/fuzz/%.c,build/fuzz/%,$(wildcard gateway/test/fuzz/fuzz_*.c))
gw_fuzz_seconds = $(if $(SECONDS),$(SECONDS),10)

fuzz: $(gw_fuzzers) ## every decoder under libFuzzer (SECONDS=600)
	@for fuzzer in $(gw_fuzzers); do mkdir -p $$fuzzer.corpus; echo "== $$fuzzer"; \
	$$fuzzer -max_total_time=$(gw_fuzz_seconds) -max_len=4096 -timeout=5 -print_final_stats=1 \
	-artifact_prefix=$$fuzzer. $$fuzzer.corpus 2>&1 | tail -n 12 | tee $$fuzzer.log; \
	grep -q 'stat::number_of_executed_units' $$fuzzer.log && ! ls $$fuzzer.*-* >/dev/null 2>&1 || exit 1; done

build/fuzz/%: gateway/test/fuzz/%.c $(gw_pure) $(wildcard gateway/base/*.h gateway/codec/*.h)
	@mkdir -p $(@D)
	clang $(filter-out -MMD -MP,$(gw_flags)) -O1 -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=undefined -o $@ $< $(gw_pure) -ljansson -lcrypto

install: install-gateway
install-gateway: chat-gateway
	$(MKDIR_P) '$(DESTDIR)$(bindir)' '$(DESTDIR)$(gw_web_dir)'
	$(INSTALL_PROGRAM) chat-gateway '$(DESTDIR)$(bindir)/chat-gateway'
	cd gateway/web && find . -type f -not -name '.*' -exec install -D -m 644 '{}' '$(DESTDIR)$(gw_web_dir)/{}' ';'

-include $(gw_objects:.o=.d) $(gw_asan_objects:.o=.d) $(gw_bench_objects:.o=.d)
-include $(patsubst gateway/%.c,build/gateway/asan/%.d,$(wildcard gateway/test/unit/*.c))

.PHONY: bench-build chat-gateway-asan test-unit fuzz install-gateway
