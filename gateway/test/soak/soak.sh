#!/usr/bin/env bash
# soak.sh: does a worker's memory stay where it is? On a cluster and a gateway of one worker of its own.
#
#   CALLS=1000000       calls in all: by half get_profile, by half send_message with its events; measured from a tenth of them on
#   CONNECTS=100000     sockets that connect, log in and go; measured from a tenth of them on
#   GATEWAY_OPTIONS=…   more flags for the gateway
#
# Resident memory is read while no socket is open: what the allocator keeps from the peak is in both readings. Prints a line
# for each round, then the table of bars; exit 1 when one is missed.

set -euo pipefail
cd "$(dirname "$0")/../../.."
calls=${CALLS:-1000000}
connects=${CONNECTS:-100000}
cluster=$PWD/extension/test/cluster.sh
export CHAT_CLUSTER=soak CHAT_QUIET=yes CHAT_FSYNC=off
export CHAT_OPTIONS=$'max_wal_size = 8GB\ncheckpoint_timeout = 1h'
bar=2048 # KiB
table=
missed=0
gateway=
mkdir -p build
work=$(mktemp -d "$PWD/build/soak-XXXXXX")

tidy()
{
	[ -z "$gateway" ] || { kill -TERM "$gateway" 2> /dev/null && wait "$gateway"; } || true
	"$cluster" destroy
	rm -rf "$work"
}
trap tidy EXIT
trap 'exit 1' INT TERM HUP

die() { echo "soak: $*" >&2; tail -n 20 "$work/log" >&2 || true; exit 1; }

# A port that nobody listens on.
free_port()
{
	port=$((20000 + RANDOM % 10000))
	while { exec 3<> "/dev/tcp/127.0.0.1/$port"; } 2> /dev/null; do
		exec 3>&-
		port=$((20000 + RANDOM % 10000))
	done
}

is_ready()
{
	local line=
	{ exec 3<> "/dev/tcp/127.0.0.1/$port"; } 2> /dev/null || return 1
	printf 'GET /readyz HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n' >&3
	read -r -t 2 line <&3 || true
	exec 3>&-
	[[ $line == *" 200 "* ]]
}

# The worker keeps its process for the whole run, or what was measured is not one worker's memory.
start_gateway()
{
	free_port
	# shellcheck disable=SC2086
	"$cluster" as "$PWD/chat-gateway" --listen="127.0.0.1:$port" --workers=1 \
		--database="host=$PGHOST port=$PGPORT dbname=chat user=gateway" --log-level=warn ${GATEWAY_OPTIONS:-} \
		> "$work/log" 2>&1 &
	gateway=$!
	for _ in $(seq 300); do
		! is_ready || break
		kill -0 "$gateway" 2> /dev/null || die "the gateway is gone"
		sleep 0.1
	done
	is_ready || die "the gateway is not ready"
	worker=$(tr -d " " < "/proc/$gateway/task/$gateway/children") # the only one
}

sockets() { { find "/proc/$worker/fd" -lname 'socket:*' 2> /dev/null || true; } | wc -l; }

# KiB, once all sockets of clients are gone.
resident()
{
	for _ in $(seq 300); do
		[ "$(sockets)" -gt "$quiet" ] || break
		sleep 0.1
	done
	awk '$1 == "VmRSS:" { print $2 }' "/proc/$worker/status" || die "the worker is gone"
}

# $1 mode, $2 sessions, $3… more
bench()
{
	local mode=$1 sessions=$2
	shift 2
	build/chat-bench "$mode" --sessions="$work/$sessions" --port="$port" --warm=0 --gateway="$gateway" \
		--database="$(head -n 1 "$home/data/postmaster.pid")" "$@" > "$work/figures" || die "chat-bench $mode failed"
}

# The last run's figure of this name, times $2, as a whole number.
figure() { awk -v name="$1" -v by="$2" '$1 == name { printf "%d\n", $2 * by; found = 1 } END { exit !found }' "$work/figures"; }

# $1 what, $2 KiB before, $3 KiB after
report()
{
	local verdict=pass
	[ $(($3 - $2)) -le "$bar" ] || { verdict=MISSED; missed=1; }
	table+="$1|<= $bar KiB|$(($3 - $2)) KiB, from $2 to $3|$verdict"$'\n'
}

call_until()
{
	while [ "$done_calls" -lt "$1" ]; do
		bench calls all --connections=100 --method=get_profile --seconds=1
		done_calls=$((done_calls + $(figure calls_per_second 1)))
		bench pairs pairs --connections=200 --depth=4 --seconds=2
		done_calls=$((done_calls + $(figure messages_per_second 2)))
		echo "$done_calls calls: $(resident) KiB"
	done
}

connect_until()
{
	while [ "$done_connects" -lt "$1" ]; do
		bench idle all --connections="$per_round" --seconds=1
		done_connects=$((done_connects + per_round))
		echo "$done_connects connects: $(resident) KiB"
	done
}

ulimit -n "$(ulimit -Hn)"
per_round=$((connects / 10 < 2000 ? connects / 10 : 2000))
"$cluster" destroy
"$cluster" prepare
eval "$("$cluster" env)"
home=$("$cluster" path)
psql -X -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE bench LOGIN IN ROLE chat_app'
sessions_sql=$PWD/gateway/bench/prepare.sql
(cd "$work" && psql -X -q -v ON_ERROR_STOP=1 -U bench -f "$sessions_sql")
psql -X -q -c 'VACUUM ANALYZE'

start_gateway
quiet=200 # until it is known how many sockets it has by itself
bench idle all --connections=100 --seconds=1
sleep 2
quiet=$(($(sockets) + 20)) # connections to the database come and go
done_calls=0
done_connects=0
call_until $((calls / 10))
calls_from=$done_calls
before=$(resident)
call_until "$calls"
report "from call $calls_from to $done_calls" "$before" "$(resident)"
connect_until $((connects / 10))
connects_from=$done_connects
before=$(resident)
connect_until "$connects"
report "from connect $connects_from to $done_connects" "$before" "$(resident)"
echo
{ echo 'what|bar|measured|pass'; printf '%s' "$table"; } | column -t -s '|'
exit "$missed"
