#!/usr/bin/env bash
# calls.sh: what the calls beside send_message cost the server, on a cluster of its own that cluster.sh has prepared
# (CHAT_CLUSTER). One client, 200 direct chats; by rows (table.c) and by statements (chat.direct_tables = off) in turns.
# Figures are microseconds inside the function, as pg_stat_user_functions adds them up: without parsing and commit.
#
#   SECONDS_EACH=5     of each turn
#   TURNS=3

set -euo pipefail
cd "$(dirname "$0")/../../.."

cluster=extension/test/cluster.sh
bin=$(${PG_CONFIG:-pg_config} --bindir)
eval "$("$cluster" env)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sql() { "$bin/psql" -X -q -At -v ON_ERROR_STOP=1 "$@"; }

sql -v pairs=200 -f extension/test/bench/chats.sql
sql -c 'CREATE TABLE figures (direct text, call text, calls bigint, ms double precision)'

cat > "$work/script" <<-'SQL'
	\set chat random(1, 200) * 4194304
	\set reader :chat + 200 * 4194304
	SELECT id AS message FROM chat.send_message(:chat, :chat, 'hello, how are you today?') \gset
	SELECT chat.mark_delivered(:reader, :chat, :message);
	SELECT chat.mark_read(:reader, :chat, :message);
	SELECT chat.set_typing(:reader, :chat);
	SELECT chat.add_reaction(:reader, :chat, :message, 'heart');
	SELECT chat.remove_reaction(:reader, :chat, :message, 'heart');
	SELECT chat.edit_message(:chat, :chat, :message, 'hello, how are you?');
	SELECT chat.pin_message(:reader, :chat, :message);
	SELECT chat.save_draft(:reader, :chat, 'I am', :message);
	SELECT chat.get_chat(:reader, :chat);
	SELECT count(*) FROM chat.list_chats(:reader);
	SELECT count(*) FROM chat.list_messages(:reader, :chat);
SQL

measure()
{
	sql -c 'SELECT pg_stat_reset()' > /dev/null
	PGOPTIONS="-c chat.direct_tables=$1 -c track_functions=all" \
		"$bin/pgbench" -n -M prepared -c 1 -T "${SECONDS_EACH:-5}" -f "$work/script" > /dev/null 2> "$work/errors" ||
		{ cat "$work/errors" >&2; return 1; }
	until [ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'")" = 0 ]; do :; done
	sql -c "INSERT INTO figures SELECT '$1', funcname, calls, total_time FROM pg_stat_user_functions WHERE schemaname = 'chat'"
}

measure on > /dev/null # warms up
sql -c 'TRUNCATE figures'
for _ in $(seq "${TURNS:-3}"); do
	measure on
	measure off
done
"$bin/psql" -X -q <<-'SQL'
	SELECT call, round(min(us) FILTER (WHERE direct = 'on')) AS "by rows, us", round(min(us) FILTER (WHERE direct = 'off')) AS "by statements, us",
		round((min(us) FILTER (WHERE direct = 'off') / min(us) FILTER (WHERE direct = 'on'))::numeric, 2) AS ratio
	  FROM (SELECT direct, call, ms / calls * 1000 AS us FROM figures WHERE calls > 0) f
	 WHERE call IN ('send_message', 'mark_delivered', 'mark_read', 'set_typing', 'add_reaction', 'remove_reaction', 'edit_message', 'pin_message', 'save_draft',
		'get_chat', 'list_chats', 'list_messages')
	 GROUP BY call ORDER BY 2
SQL
