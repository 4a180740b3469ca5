#!/usr/bin/env bash
# suites.sh: runs test suites and adds them up.
#
#   .ci/suites.sh [suite]...     default: all of them; the last line is "N passed, N failed"
#
# Each suite is a function suite_NAME that runs its tool on private clusters; it runs in a process of its own under
# a time limit, its output is shown and kept in build/test/NAME.log, and is then read for the tool's own summary
# (pg_regress, prove, node --test, or "N passed, N failed" of a script of ours). A suite that prints no summary, runs
# no test, or ends badly without a failed test counts as one failure: silence is never success.
#
# Run as root (CI), servers and Perl tests become an unprivileged user, see cluster.sh; what that user reads is
# copied to a place it can reach.

set -euo pipefail
cd "$(dirname "$0")/.."
root=$(pwd -P)
logs=$root/build/test
cluster=$root/extension/test/cluster.sh
pg_config=${PG_CONFIG:-pg_config}
all=(warnings lint regress regress-bare isolation tap random unit fuzz layers e2e e2e-asan web check)
limit=1200  # seconds for one suite

unset MAKEFLAGS MFLAGS MAKELEVEL
make() { command make --no-print-directory "$@"; }
export CHAT_QUIET=yes

pgxs_dir() { dirname "$($pg_config --pgxs)" | sed 's,/src/makefiles$,,'; }

# A cluster for one suite, gone with it. $1 name, $2 preload
with_cluster()
{
	export CHAT_CLUSTER=$1 CHAT_PRELOAD=$2 CHAT_FSYNC=off
	trap '"$cluster" destroy' EXIT
	"$cluster" destroy
	"$cluster" start
	eval "$("$cluster" env)"
}

# Both compilers over a copy of the sources, from nothing.
suite_warnings()
{
	local passed=0 failed=0 compiler
	copy=$(mktemp -d)
	trap 'rm -rf "$copy"' EXIT
	for compiler in gcc clang; do
		mkdir "$copy/$compiler"
		git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$copy/$compiler"
		if (cd "$copy/$compiler" && make -s -j"$(nproc)" CC="$compiler" all bench-build) > "$copy/log" 2>&1 &&
			! grep -q 'warning:' "$copy/log"; then
			echo "ok: $compiler"
			passed=$((passed + 1))
		else
			cat "$copy/log"
			echo "not ok: $compiler"
			failed=$((failed + 1))
		fi
	done
	echo "$passed passed, $failed failed"
}

# $1 preload: pg_regress, in one database, the file that creates the extension first.
regress()
{
	local out=$logs/$CHAT_SUITE tests
	with_cluster "$CHAT_SUITE" "$1"
	tests=$(for file in sql/install.sql sql/*.sql; do [ ! -e "$file" ] || basename "$file" .sql; done | awk '!seen[$0]++')
	rm -rf "$out"
	mkdir -p "$out/results"
	# shellcheck disable=SC2086
	"$(pgxs_dir)/src/test/regress/pg_regress" --inputdir="$root" --outputdir="$out" \
		--bindir="$($pg_config --bindir)" --host="$PGHOST" --port="$PGPORT" --user=postgres \
		--dbname=regress_chat $tests || { diffs "$out"; return 1; }
}

diffs()
{
	[ ! -e "$1/regression.diffs" ] || head -c 200000 "$1/regression.diffs"
}

suite_regress() { regress chat; }
suite_regress-bare() { CHAT_OPTIONS='chat.direct_tables = off' regress ''; }

suite_isolation()
{
	local out=$logs/isolation specs extensions
	with_cluster isolation chat
	specs=$(for file in extension/test/specs/*.spec; do [ ! -e "$file" ] || basename "$file" .spec; done)
	extensions=$(sed -n "s/^requires *= *'\(.*\)'/\1/p" chat.control | tr ',' ' ')
	rm -rf "$out"
	mkdir -p "$out/results"
	# shellcheck disable=SC2046,SC2086
	"$(pgxs_dir)/src/test/isolation/pg_isolation_regress" --inputdir="$root/extension/test" --outputdir="$out" \
		--bindir="$($pg_config --bindir)" --host="$PGHOST" --port="$PGPORT" --user=postgres \
		--dbname=isolation_chat $(printf -- '--load-extension=%s ' $extensions chat) $specs ||
		{ diffs "$out"; return 1; }
}

# prove as the server's user: PostgreSQL::Test::Cluster makes its own clusters, and those refuse root. CHAT_TAP names some of
# the tests.
suite_tap()
{
	local user tests status=0
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	user=$("$cluster" as id -un)
	cp -r extension/test/. "$work"
	tests=${CHAT_TAP:-$(cd extension/test && echo t/*.pl)}
	mkdir -p "$work/tmp" "$work/log"
	[ "$(id -u)" != 0 ] || chown -R "$user" "$work"
	# shellcheck disable=SC2086
	CHAT_CLUSTER=tap "$cluster" as env -C "$work" TMPDIR=/tmp \
		PATH="$($pg_config --bindir):$PATH" PG_CONFIG="$pg_config" \
		PG_REGRESS="$(pgxs_dir)/src/test/regress/pg_regress" \
		PERL5LIB="$(pgxs_dir)/src/test/perl:$work/t" \
		TESTDIR="$work" TESTDATADIR="$work/tmp" TESTLOGDIR="$work/log" PGPORT=65432 LC_ALL=C \
		prove --failures --comments --timer $tests || status=$?
	if [ "$status" != 0 ]; then
		rm -rf "$logs/tap"
		mkdir -p "$logs/tap"
		cp -r "$work"/log "$work"/tmp_check/log "$logs/tap" 2> /dev/null || true
		echo "logs: $logs/tap"
	fi
	return $status
}

# Three seeds, always the same.
suite_random()
{
	local seed status=0
	for seed in 1 2 3; do
		SEED=$seed CALLS=20000 extension/test/random.sh || status=1
	done
	return $status
}

suite_unit() { make -s test-unit; }

# Each decoder for a short while; a fuzzer announces itself by "== name".
suite_fuzz()
{
	local count status=0
	make -s fuzz SECONDS=10 > "$logs/fuzzers.log" 2>&1 || status=1
	cat "$logs/fuzzers.log"
	count=$(grep -c '^== ' "$logs/fuzzers.log" || true)
	echo "$((count - status)) passed, $status failed"
}

suite_lint()
{
	if make -s lint; then
		echo "1 passed, 0 failed"
	else
		echo "0 passed, 1 failed"
	fi
}

suite_layers()
{
	if bash gateway/test/layers.sh; then
		echo "1 passed, 0 failed"
	else
		echo "0 passed, 1 failed"
	fi
}

# Clusters of Node processes that died before they could remove them; their names hold the process id.
sweep()
{
	local dir name pid
	for dir in "$(dirname "$("$cluster" path)")"/e2e*; do
		name=${dir##*/}
		pid=${name#e2e}
		pid=${pid%%x*}
		[ ! -d "$dir" ] || kill -0 "$pid" 2> /dev/null || CHAT_CLUSTER=$name "$cluster" destroy || true
	done
}

node_packages()
{
	if [ ! -e gateway/test/node_modules/.package-lock.json ] ||
		[ gateway/test/package-lock.json -nt gateway/test/node_modules/.package-lock.json ]; then
		(cd gateway/test && npm ci --no-audit --no-fund --loglevel=error)
	fi
}

# node --test over gateway/test/$1/*.test.js, two files at a time, as they mostly wait; none there: no summary, hence a failure.
node_tests()
{
	local files=("gateway/test/$1"/*.test.js)
	[ -e "${files[0]}" ] || return 1
	node_packages
	trap sweep EXIT
	node --test --test-concurrency=2 --test-reporter=spec "${files[@]}"
}

suite_e2e() { node_tests e2e; }
suite_web() { node_tests web; }

suite_e2e-asan()
{
	make -s -j"$(nproc)" chat-gateway-asan
	CHAT_GATEWAY=$root/build/chat-gateway-asan node_tests e2e
}

# $1 bug, $2 the invariant that has to find it
check_bug()
{
	local log=$logs/check-$1.log status=0
	BUG=$1 DURATION=4 SEED=1 node gateway/test/check/check.js > "$log" 2>&1 || status=$?
	if [ "$status" = 1 ] && grep -q "^violated: $2," "$log"; then
		echo "ok: bug $1 is found by $2"
	else
		cat "$log"
		echo "not ok: bug $1 is not found by $2"
		return 1
	fi
}

# One run in which everything breaks and nothing may be wrong, then one for each bug that the checker must find: three at a
# time, as they mostly wait.
suite_check()
{
	local passed=0 failed=0 bug check
	local bugs=(lost:lost repeated:repeated reordered:order gap:chain cursor_back:cursor stale_state:state)
	local -a pids
	node_packages
	trap sweep EXIT
	if DURATION=60 SEED=1 node gateway/test/check/check.js; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
	while [ ${#bugs[@]} -gt 0 ]; do
		pids=()
		for bug in "${bugs[@]:0:3}"; do
			check_bug "${bug%:*}" "${bug#*:}" &
			pids+=($!)
		done
		bugs=("${bugs[@]:3}")
		for check in "${pids[@]}"; do
			if wait "$check"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
		done
	done
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
}

# Not a suite: the figures are read by people.
bench_ids()
{
	.ci/packages run
	.ci/install
	export CHAT_CLUSTER=bench
	trap '"$cluster" destroy' EXIT
	"$cluster" prepare
	"$cluster" psql -X -q -f - < extension/test/bench/ids.sql
}

# Reads a log and prints "passed failed". Colours are taken off; whatever tool spoke is recognised by its words.
tally()
{
	sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
		/^[# ]*All [0-9]+ tests? passed/ { match($0, /[0-9]+/); passed += substr($0, RSTART, RLENGTH) }
		/^[# ]*[0-9]+ of [0-9]+ tests? (failed|passed)/ {
			split($0, word, /[^0-9]+/); i = word[1] == "" ? 2 : 1
			bad = /tests? failed/ ? word[i] : word[i + 1] - word[i]
			failed += bad; passed += word[i + 1] - bad
		}
		/^Files=[0-9]+, Tests=[0-9]+/ { match($0, /Tests=[0-9]+/); proven = substr($0, RSTART + 6, RLENGTH - 6); passed += proven }
		/^Failed [0-9]+\/[0-9]+ test programs?\. [0-9]+\/[0-9]+ subtests failed/ {
			split($0, word, /[^0-9]+/); lost = word[4]; failed += lost; passed -= lost
		}
		/^(#|ℹ) pass [0-9]+$/ { passed += $3 }
		/^(#|ℹ) (fail|cancelled) [0-9]+$/ { failed += $3 }
		/^[0-9]+ passed, [0-9]+ failed$/ { passed += $1; failed += $3 }
		END { print passed + 0, failed + 0 }'
}

declare -i passed=0 failed=0
table=
running=
trap '[ -z "$running" ] || kill -TERM "$running" 2> /dev/null; exit 130' INT TERM HUP

run_suite()
{
	local log=$logs/$1.log started=$SECONDS status=0 tee p f
	echo
	echo "== $1"
	exec 4> >(exec tee "$log")
	tee=$!
	CHAT_SUITE=$1 timeout -k 60 "$limit" "$0" --one "$1" < /dev/null >&4 2>&1 4>&- &
	running=$!
	wait "$running" || status=$?
	running=
	exec 4>&-
	# A process left over would hold the pipe open; the log is complete all the same.
	for _ in $(seq 50); do
		kill -0 "$tee" 2> /dev/null || break
		sleep 0.1
	done
	kill "$tee" 2> /dev/null || true

	read -r p f < <(tally "$log")
	if [ "$status" = 124 ] || [ "$status" = 137 ]; then
		echo "$1: stopped after $limit seconds"
	fi
	if [ "$f" = 0 ] && { [ "$status" != 0 ] || [ "$p" = 0 ]; }; then
		echo "$1: ended with status $status, $p tests passed: counted as a failure"
		f=1
	fi
	passed+=$p
	failed+=$f
	table+=$(printf '%-14s %5d passed %5d failed %5d s' "$1" "$p" "$f" $((SECONDS - started)))$'\n'
}

# $1 a file of extension/test/bench, on a cluster whose data are for once
bench()
{
	.ci/packages run
	.ci/install
	export CHAT_CLUSTER=bench CHAT_FSYNC=off
	trap '"$cluster" destroy' EXIT
	"$cluster" prepare
	"$cluster" psql -X -q -v ON_ERROR_STOP=1 -f - < "extension/test/bench/$1.sql"
}

# $1: a script for a cluster that is prepared for it.
bench_prepared()
{
	.ci/packages run
	.ci/install
	export CHAT_CLUSTER=bench
	trap '"$cluster" destroy' EXIT
	"$cluster" prepare
	"$1"
}

# $1: a script that makes its cluster itself.
bench_script()
{
	.ci/packages run
	.ci/install
	exec "$1"
}

# Random calls as many and from which seed one likes.
random_calls()
{
	.ci/packages run
	.ci/install
	exec extension/test/random.sh
}

# Which attacks, and for how long, one likes.
bench_hostile()
{
	.ci/packages run test
	.ci/install
	node_packages
	trap sweep EXIT
	node gateway/test/hostile/hostile.js
}

# As long, from which seed, and with which bug one likes.
check_delivery()
{
	.ci/packages run test
	.ci/install
	node_packages
	trap sweep EXIT
	node gateway/test/check/check.js
}

case ${1:-} in
--one)
	"suite_$2"
	exit
	;;
bench-ids)
	bench_ids
	exit
	;;
bench-domain | bench-sync)
	bench "${1#bench-}"
	exit
	;;
bench-send)
	bench_prepared extension/test/bench/send.sh
	exit
	;;
bench-calls)
	bench_prepared extension/test/bench/calls.sh
	exit
	;;
bench)
	make -s bench-build
	bench_script gateway/bench/bench.sh
	exit
	;;
bench-hostile)
	bench_hostile
	exit
	;;
soak)
	make -s bench-build
	bench_script gateway/test/soak/soak.sh
	exit
	;;
bench-delivery)
	bench_script extension/test/bench/delivery.sh
	exit
	;;
random-calls)
	random_calls
	exit
	;;
check-delivery)
	check_delivery
	exit
	;;
esac

suites=("$@")
if [ $# = 0 ]; then
	suites=("${all[@]}")
fi

mkdir -p "$logs"
ready=yes
.ci/packages run test && .ci/install || ready=
for suite in "${suites[@]}"; do
	if [ -n "$ready" ]; then
		run_suite "$suite"
	else
		failed+=1
		table+="$suite: not run, for want of packages or of a build"$'\n'
	fi
done

echo
printf '%s' "$table"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
