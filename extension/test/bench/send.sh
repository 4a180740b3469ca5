#!/usr/bin/env bash
# send.sh: what chat.send_message costs, on a cluster of its own that cluster.sh has prepared (CHAT_CLUSTER).
#
# 1,000 direct chats with nobody there. For each way to deliver: one client and 64, each call its own transaction; and
# groups of 64 calls in one transaction, pipelined on four connections with chats of their own, as the gateway sends
# them. CPU is that of the server's backends, as the postmaster has reaped them.
#
#   SECONDS_EACH=8     of each run
#   DELIVERIES="none deferred transactional"
#   CHAT_ROOT=…        another checkout, installed and prepared, to compare with: take turns, and believe ratios only

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "${CHAT_ROOT:-$here/../../..}"

cluster=extension/test/cluster.sh
seconds=${SECONDS_EACH:-8}
bin=$(${PG_CONFIG:-pg_config} --bindir)
eval "$("$cluster" env)"
data=$("$cluster" path)/data
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sql() { "$bin/psql" -X -q -At -v ON_ERROR_STOP=1 "$@"; }

sql -v pairs=1000 -f "$here/chats.sql"

call="SELECT * FROM chat.send_message(:chat, :chat, 'hello, how are you today?');"
printf '\\set chat random(1, 1000) * 4194304\n%s\n' "$call" > "$work/single"
{
	echo '\set n 0'
	echo '\startpipeline'
	for _ in $(seq 64); do
		echo '\set n :n + random(1, 3)'
		echo '\set chat (:n * 4 + :client_id) * 4194304'
		echo "$call"
	done
	echo '\endpipeline'
} > "$work/group"

# Clock ticks of the children that the postmaster has reaped
reaped() { awk '{ print $16 + $17 }' "/proc/$(head -n 1 "$data/postmaster.pid")/stat"; }

# $1 what, $2 script, $3 messages a script, then pgbench's options
measure()
{
	local what=$1 script=$2 each=$3 before after sent
	shift 3
	before=$(reaped)
	sent=$("$bin/pgbench" -n -M prepared -f "$script" -T "$seconds" "$@" 2>&1 |
		sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p')
	until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'")" = 0 ]; do :; done
	after=$(reaped)
	awk -v what="$what" -v sent=$((sent * each)) -v seconds="$seconds" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" \
		'BEGIN { printf "%-40s %8.0f messages/s %7.1f us of CPU each\n", what, sent / seconds, ticks / hz * 1e6 / sent }'
}

for delivery in ${DELIVERIES:-none deferred transactional}; do
	sql -c "ALTER SYSTEM SET chat.delivery = '$delivery'" -c 'SELECT pg_reload_conf()' > /dev/null
	measure "$delivery, 1 client" "$work/single" 1 -c 1
	measure "$delivery, 64 clients" "$work/single" 1 -c 64 -j 2
	measure "$delivery, groups of 64 on 4 connections" "$work/group" 64 -c 4 -j 1
done
sql -c 'ALTER SYSTEM RESET chat.delivery' -c 'SELECT pg_reload_conf()' > /dev/null
