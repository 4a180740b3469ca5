#!/usr/bin/env bash
# bench.sh: chat-bench's standard set against the bars, on a cluster (fsync on) and a gateway of its own.
#
#   gateway/bench/bench.sh [part]...     parts: pairs paced calls room idle storm; default: all
#
#   BENCH_SECONDS=10    measured per part
#   WORKERS=1           of the gateway
#   GATEWAY_OPTIONS=…   more flags for it
#   USER_CHANNELS=shared    chat.user_channels of the cluster
#
# Everything runs on this machine's cores, load generator included. Prints what chat-bench says of each part, then the table of
# bars; exit 1 when one is missed.
# shellcheck disable=SC2317  # parts are called by name

set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${BENCH_SECONDS:-10}
cluster=$PWD/extension/test/cluster.sh
export CHAT_CLUSTER=bench-gateway CHAT_QUIET=yes CHAT_FSYNC=on
# No checkpoint in the middle of a part.
export CHAT_OPTIONS=$'max_wal_size = 8GB\ncheckpoint_timeout = 1h\nchat.user_channels = '${USER_CHANNELS:-shared}
parts=("$@")
[ $# != 0 ] || parts=(pairs paced calls room idle storm)
table=
missed=0
gateway=
mkdir -p build
work=$(mktemp -d "$PWD/build/bench-XXXXXX")

tidy()
{
	[ -z "$gateway" ] || { kill -TERM "$gateway" 2> /dev/null && wait "$gateway"; } || true
	"$cluster" destroy
	rm -rf "$work"
}
trap tidy EXIT
trap 'exit 1' INT TERM HUP

die() { echo "bench: $*" >&2; exit 1; }
failed() { tail -n 20 "$work/log" >&2; die "$@"; }
holds() { awk "BEGIN { exit !($1) }"; }

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
	printf 'GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n' >&3
	read -r -t 2 line <&3 || true
	exec 3>&-
	[[ $line == *" 200 "* ]]
}

start_gateway()
{
	free_port
	# shellcheck disable=SC2086
	"$cluster" as "$PWD/chat-gateway" --listen="127.0.0.1:$port" --workers="${WORKERS:-1}" \
		--database="host=$PGHOST port=$PGPORT dbname=chat user=gateway" --log-level=warn ${GATEWAY_OPTIONS:-} \
		> "$work/log" 2>&1 &
	gateway=$!
	for _ in $(seq 300); do
		! is_ready || return 0
		kill -0 "$gateway" 2> /dev/null || break
		sleep 0.1
	done
	failed "the gateway is not ready"
}

stop_gateway()
{
	kill -TERM "$gateway"
	wait "$gateway" || true
	gateway=
}

# $1 mode, $2 sessions, $3… more: runs chat-bench against a gateway that has done nothing before.
bench()
{
	local mode=$1 sessions=$2
	shift 2
	start_gateway
	echo "== $mode $*"
	build/chat-bench "$mode" --sessions="$work/$sessions" --port="$port" --seconds="$seconds" \
		--gateway="$gateway" --database="$(head -n 1 "$home/data/postmaster.pid")" "$@" > "$work/figures" ||
		failed "chat-bench $mode failed"
	cat "$work/figures"
	stop_gateway
}

# The last run's figure of this name.
figure() { awk -v name="$1" '$1 == name { print $2; found = 1 } END { exit !found }' "$work/figures"; }
sum() { awk "BEGIN { print $1 + $2 }"; }

# $1 what, $2 bar: "<= 4 us", $3 figure
report()
{
	local verdict=pass relation limit unit
	read -r relation limit unit <<< "$2"
	holds "$3 $relation ${limit//,/}" || { verdict=MISSED; missed=1; }
	table+="$1|$2|$3 $unit|$verdict"$'\n'
}

report_losses()
{
	report "$1: lost, repeated, failed" '== 0' "$(sum "$(sum "$(figure lost)" "$(figure repeated)")" "$(figure failed)")"
	report "$1: late or broken chain" '== 0' "$(sum "$(figure late)" "$(figure chain_breaks)")"
}

part_pairs()
{
	bench pairs pairs --connections=200 --depth="${DEPTH:-4}"
	report 'pairs, 200 connections, 100 bytes, closed loop' '>= 20,000 messages/s' "$(figure messages_per_second)"
	report 'the same: CPU a 1,000 messages, gateway + database' '<= 0.08 s' "$(sum "$(figure gateway_s_per_1000)" "$(figure database_s_per_1000)")"
	report_losses 'the same'
}

part_paced()
{
	bench pairs pairs --connections=200 --rate=2000
	report 'pairs, 2,000 messages/s, due to delivered: p99' '<= 20 ms' "$(figure delivery_p99_ms)"
	report_losses 'the same'
}

part_calls()
{
	bench calls all --connections=100 --method=get_profile
	report 'get_profile, 100 connections: gateway CPU a call' '<= 15 us' "$(figure gateway_us_per_call)"
	# By then the first of them have been silent for long enough to be pinged.
	bench calls all --connections=10000 --active=100 --method=get_profile --warm=25
	report 'the same with 9,900 idle ones beside' '<= 15 us' "$(figure gateway_us_per_call)"
}

part_room()
{
	bench room room --rate=20
	report 'room of 1,001: gateway CPU a delivery' '<= 4 us' "$(figure gateway_us_per_delivery)"
	report_losses 'the same'
}

# For longer than the gateway's silence before a ping.
part_idle()
{
	bench idle all --connections=10000 --seconds=40
	report 'idle, 10,000 sessions: gateway memory each' '<= 4,096 bytes' "$(figure bytes_per_session)"
	report 'idle, 10,000 sessions: gateway CPU' '<= 2 percent of a core' "$(figure gateway_percent_of_core)"
	bench idle all --connections=1000 --seconds=40
	report 'idle, 1,000 sessions: gateway CPU' '<= 0.2 percent of a core' "$(figure gateway_percent_of_core)"
}

part_storm()
{
	bench storm all --connections=10000
	report '10,000 sessions return after their worker died' '<= 10 s' "$(figure seconds_to_return)"
}

hard=$(ulimit -Hn)
[ "$hard" != unlimited ] && [ "$hard" -lt 20000 ] && die "10,000 sessions want 20,000 descriptors; the limit is $hard"
ulimit -n 20000
"$cluster" destroy
"$cluster" prepare
eval "$("$cluster" env)"
home=$("$cluster" path)
psql -X -q -v ON_ERROR_STOP=1 -c 'CREATE ROLE bench LOGIN IN ROLE chat_app'
sessions_sql=$PWD/gateway/bench/prepare.sql
(cd "$work" && psql -X -q -v ON_ERROR_STOP=1 -U bench -f "$sessions_sql")
psql -X -q -c 'VACUUM ANALYZE'
for part in "${parts[@]}"; do
	"part_$part"
done
echo
{ echo 'what|bar|measured|pass'; printf '%s' "$table"; } | column -t -s '|'
exit "$missed"
