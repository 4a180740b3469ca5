#!/usr/bin/env bash
# random.sh: 16 sessions call every client function at random, then chat.verify() must be clean, and clients that have called
# nothing but sync since must know what is there.
#
#   CALLS=20000 SEED=1 extension/test/random.sh     on a private cluster that is gone afterwards
#
# Prints what was called how often and how it ended, and closes with "N passed, N failed": one test for unexpected
# errors (random.sql says which are expected), one for the indexes (amcheck), one for verify(), one for sync (sync.sql), one
# for every function having succeeded at least once (but for those that a random argument hits too seldom).
set -euo pipefail
cd "$(dirname "$0")/../.."
calls=${CALLS:-20000}
seed=${SEED:-1}
sessions=16
cluster=$PWD/extension/test/cluster.sh
export CHAT_CLUSTER=random CHAT_FSYNC=off CHAT_QUIET=yes
trap '"$cluster" destroy' EXIT
"$cluster" destroy
"$cluster" prepare
eval "$("$cluster" env)"
sql() { psql -X -q -v ON_ERROR_STOP=1 "$@"; }

sql -f extension/test/random.sql -f extension/test/sync.sql
sql -c 'SELECT test_random.prepare()' -c 'SELECT test_sync.start()' > /dev/null
echo "random: $calls calls by $sessions sessions, seed $seed"
pids=()
for session in $(seq "$sessions"); do
	sql -c "CALL test_random.run($(awk -v s="$seed" -v n="$session" 'BEGIN { printf "%.9f", ((s * 1000 + n) * 0.6180339887) % 1 }'), $((calls / sessions)))" &
	pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do
	wait "$pid" || failed=1
done
[ "$failed" = 0 ] || { echo "random: a session has died"; echo "0 passed, 1 failed"; exit 1; }

sql -c "SELECT method, count(*) AS calls, count(*) FILTER (WHERE outcome = '00000') AS done, string_agg(DISTINCT nullif(outcome, '00000'), ' ') AS errors
	FROM test_random.calls GROUP BY method ORDER BY method"
passed=0
# $1 name, $2 query of what should not be there
check()
{
	local found
	found=$(sql -At -c "$2")
	if [ -z "$found" ]; then
		echo "ok: $1"
		passed=$((passed + 1))
	else
		echo "not ok: $1"
		echo "$found" | head -n 20
		failed=$((failed + 1))
	fi
}
check 'no error but ours' "SELECT state, message, left(call, 300) FROM test_random.unexpected"
sql -c 'CREATE EXTENSION amcheck'
check 'each index has what its table has' "WITH indexes AS MATERIALIZED (SELECT c.oid, c.relname FROM pg_class c JOIN pg_am a ON a.oid = c.relam
	WHERE c.relkind = 'i' AND a.amname = 'btree' AND c.relnamespace = 'chat'::regnamespace) SELECT i.relname FROM indexes i WHERE bt_index_check(i.oid, true) IS NULL"
check 'verify() is clean' "SELECT * FROM chat.verify() WHERE NOT ok"
sql -c 'CALL test_sync.follow_all(50)'
check 'who only syncs knows what is there' "SELECT * FROM test_sync.faults(true) LIMIT 20"
check 'every function was called, and no call was only ever refused' "SELECT m.method FROM test_random.methods m
	WHERE m.method NOT IN ('append_upload', 'finish_upload', 'cancel_scheduled_message', 'redeem_invite_link', 'unregister_push', 'end_call', 'revoke_session', 'refresh_session', 'add_file_link', 'begin_upload', 'read_file', 'share_file', 'unshare_file', 'delete_file', 'get_file')
	AND NOT EXISTS (SELECT FROM test_random.calls c WHERE c.method = m.method AND c.outcome = '00000')"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
