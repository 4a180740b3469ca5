#!/usr/bin/env bash
# delivery.sh: what the delivery of events costs those who write, and how soon it is done; on a cluster of its own.
#
#   extension/test/bench/delivery.sh [part]...     parts: modes lag groups slow; default: all
#
#   ROUNDS=5            a figure is the median of so many rounds
#   ROUND_SECONDS=4     of one mode
#
#	modes   send_message by pgbench at 64 clients, each in a chat of two, one listener on one member's channel of every second
#	        chat. The modes of chat.delivery take turns within one run, by reload; a ratio is the median of the rounds'
#	        ratios, since throughput on a shared machine drifts.
#	slow    The same with flushes that take 2 ms longer (slow_flush.c in the postmaster).
#	lag     2,000 messages a second, open loop: from COMMIT sent to notification read (delivery.c).
#	groups  Groups of 20, 1,000 and 10,000 members: notifications a message, time a message with one client. Without
#	        waiting for the flush, which would hide what is looked for.
#
# Prints a table of bars. Exit 1 when one is missed or a notification is.
# shellcheck disable=SC2317  # parts are called by name

set -euo pipefail
cd "$(dirname "$0")/../../.."
rounds=${ROUNDS:-5}
seconds=${ROUND_SECONDS:-4}
parts=("$@")
[ $# != 0 ] || parts=(modes lag groups slow)
clients=64
slow_us=2000
here=extension/test/bench
cluster=$PWD/extension/test/cluster.sh
pg_config=${PG_CONFIG:-pg_config}
pgbench=$($pg_config --bindir)/pgbench
build=$PWD/build/bench
mkdir -p "$build"
work=$(mktemp -d "$build/work-XXXXXX")
export CHAT_CLUSTER=bench-delivery CHAT_QUIET=yes CHAT_FSYNC=on
# No checkpoint in the middle of a round.
export CHAT_OPTIONS=$'max_wal_size = 8GB\ncheckpoint_timeout = 1h\nwal_sync_method = fdatasync'
table=
missed=0
listener=

tidy()
{
	[ -z "$listener" ] || kill "$listener" 2> /dev/null || true
	"$cluster" destroy
	rm -rf "$work"
}
trap tidy EXIT

say() { echo "delivery: $*" >&2; }
die() { say "$@"; exit 1; }
sql() { psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }
holds() { awk "BEGIN { exit !($1) }"; }
quotient() { awk "BEGIN { printf \"%.3f\", $1 / $2 }"; }
median() { sort -g | awk '{ x[NR] = $1 } END { print NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2 }'; }

# $1 what, $2 bar as text, $3 measured as text, $4 condition
report()
{
	local verdict=pass
	holds "$4" || { verdict=MISSED; missed=1; }
	table+="$1|$2|$3|$verdict"$'\n'
}

compile()
{
	local cc="${CC:-cc} -O2 -Wall -Wextra -Werror -D_GNU_SOURCE"
	$cc -isystem "$($pg_config --includedir)" -o "$build/delivery" "$here/delivery.c" -L"$($pg_config --libdir)" -lpq
	$cc -fPIC -shared -o "$build/slow_flush.so" "$here/slow_flush.c"
}

# Every backend that starts from now on has it.
set_mode()
{
	sql -c "ALTER SYSTEM SET chat.delivery = '$1'" -c "SELECT pg_reload_conf()" > /dev/null
	for _ in $(seq 100); do
		[ "$(sql -c 'SHOW chat.delivery')" != "$1" ] || return 0
		sleep 0.1
	done
	die "chat.delivery does not become $1"
}

# $@: channels
start_listener()
{
	"$build/delivery" drain "$@" > "$work/heard" &
	listener=$!
	for _ in $(seq 100); do
		[ ! -s "$work/heard" ] || return 0
		sleep 0.1
	done
	die "no listener"
}

# → $heard, $resyncs, of all that was sent before.
stop_listener()
{
	kill "$listener"
	wait "$listener" || true
	listener=
	read -r heard resyncs < <(tail -n 1 "$work/heard")
}

# $1 members, $2 clients, $3 seconds, $4… more for pgbench → $rate, $sent
send()
{
	local members=$1 count=$2 time=$3
	shift 3
	"$pgbench" -n -M prepared -c "$count" -j 1 -T "$time" -D "members=$members" -D known=0 "$@" -f "$here/send.sql" \
		> "$work/pgbench" 2>&1 || { cat "$work/pgbench" >&2; die "pgbench failed"; }
	rate=$(awk '/^tps/ { print $3 }' "$work/pgbench")
	sent=$(awk '/^number of transactions actually processed/ { print $6 }' "$work/pgbench")
	! grep -q '^number of failed transactions: [1-9]' "$work/pgbench" || die "transactions failed"
}

# Only every second chat is listened to: what is sent there is counted by the messages themselves.
messages_listened_to()
{
	sql -c "SELECT sum(c.message_count) FROM bench.chats b JOIN chat.chats c ON c.id = b.chat_id WHERE b.members = 2 AND b.client % 2 = 0"
}

# One round of one mode → the line "MODE RATE" in $work/rates; a notification that is missing without a resync ends it all.
round()
{
	local before
	set_mode "$1"
	before=$(messages_listened_to)
	start_listener "${channels[@]}"
	send 2 "$clients" "$seconds"
	stop_listener
	echo "$1 $rate" >> "$work/rates"
	say "  $1: $rate/s, $heard notifications, $resyncs resyncs"
	[ "$1" = none ] || [ "$resyncs" != 0 ] || [ "$heard" = $(($(messages_listened_to) - before)) ] ||
		die "$(($(messages_listened_to) - before)) messages, $heard notifications, and no resync"
}

# $@: modes, taking turns
measure_modes()
{
	local mode turn
	: > "$work/rates"
	for turn in $(seq "$rounds"); do
		say "round $turn of $rounds"
		for mode in "$@"; do
			round "$mode"
		done
	done
}

median_rate() { awk -v mode="$1" '$1 == mode { print $2 }' "$work/rates" | median; }

# Median over the rounds of mode $1's rate by mode $2's.
median_ratio()
{
	paste <(awk -v mode="$1" '$1 == mode { print $2 }' "$work/rates") <(awk -v mode="$2" '$1 == mode { print $2 }' "$work/rates") |
		awk '{ print $1 / $2 }' | median
}

# $1 what, $2 the other mode, $3 bar
report_ratio()
{
	local ratio
	ratio=$(median_ratio deferred "$2")
	report "$1: deferred / $2" ">= $3" "$(printf '%.2f (%.0f/s, %.0f/s)' "$ratio" "$(median_rate deferred)" "$(median_rate "$2")")" \
		"$ratio >= $3"
}

restart_slow()
{
	local home postmaster flushes
	home=$("$cluster" path)
	"$cluster" stop
	cp "$build/slow_flush.so" "$home/slow_flush.so"
	chmod 755 "$home/slow_flush.so"
	SLOW_FLUSH_US=$slow_us LD_PRELOAD=$home/slow_flush.so "$cluster" start
	postmaster=$(head -n 1 "$home/data/postmaster.pid")
	grep -q slow_flush.so "/proc/$postmaster/maps" || die "the postmaster has no slow flushes"
	[ "$(sql -c 'SHOW wal_sync_method')" = fdatasync ] || die "wal_sync_method is not fdatasync"
	send 2 1 2
	flushes=$(quotient 1000 "$rate")
	holds "$flushes >= $slow_us / 1000" || die "a commit takes $flushes ms only"
	say "flushes are slow: $flushes ms a message with one client"
}

# $1 the column of $work/lags
median_lag() { awk -v column="$1" '{ print $column }' "$work/lags" | median; }

part_lag()
{
	local chats count heard_all span p50 p99 after50 after99 turn
	set_mode deferred
	chats=$(sql -c "SELECT chat_id || ':' || sender_id FROM bench.chats WHERE members = 2")
	: > "$work/lags"
	for turn in $(seq "$rounds"); do
		# shellcheck disable=SC2086
		read -r count heard_all span p50 p99 after50 after99 < <("$build/delivery" lag 2000 "$seconds" $chats)
		say "lag, round $turn: p50 $p50 ms, p99 $p99 ms; from the COMMIT's answer p50 $after50 ms, p99 $after99 ms"
		[ "$count" = "$heard_all" ] || die "$count sent, $heard_all notifications"
		echo "$p50 $p99 $after50 $after99 $(quotient "$count" "$span")" >> "$work/lags"
	done
	# Below that the machine was too busy, and the two figures behind say little.
	report 'open loop of 2,000 messages/s: sent' '>= 1,980/s' "$(median_lag 5)/s" "$(median_lag 5) >= 1980"
	p50=$(median_lag 1)
	p99=$(median_lag 2)
	report 'COMMIT sent to notification read, 2,000 messages/s: p50' '<= 1 ms' "$p50 ms ($(median_lag 3) ms from its answer)" "$p50 <= 1"
	report 'COMMIT sent to notification read, 2,000 messages/s: p99' '<= 4 ms' "$p99 ms ($(median_lag 4) ms from its answer)" "$p99 <= 4"
}

measure_group_notifications()
{
	local chat own
	chat=$(sql -c "SELECT chat.chat_channel(chat_id) FROM bench.chats WHERE members = 10000")
	own=$(sql -c "SELECT chat.user_channel(m.user_id) FROM chat.members m JOIN bench.chats b ON b.chat_id = m.chat_id WHERE b.members = 10000 LIMIT 500")
	# shellcheck disable=SC2086
	start_listener "$chat" $own
	send 10000 1 2
	stop_listener
	report 'notifications a message in a group of 10,000' '= 1' "$(quotient "$heard" "$sent")" "$heard == $sent && $resyncs == 0"
}

measure_group_cost()
{
	local turn members ratio
	: > "$work/rates"
	for turn in $(seq "$rounds"); do
		for members in 20 1000 10000; do
			PGOPTIONS='-c synchronous_commit=off' send "$members" 1 2
			echo "$members $rate" >> "$work/rates"
		done
	done
	for members in 1000 10000; do
		ratio=$(median_ratio 20 "$members")
		report "time a message, group of $members / of 20" '<= 1.2' \
			"$(printf '%.2f (%.0f us, %.0f us)' "$ratio" "$(quotient 1e6 "$(median_rate "$members")")" "$(quotient 1e6 "$(median_rate 20)")")" \
			"$ratio <= 1.2"
	done
}

part_modes()
{
	measure_modes none transactional deferred
	report_ratio 'send_message, 64 clients' transactional 3
	report_ratio 'send_message, 64 clients' none 0.75
}

part_groups()
{
	set_mode deferred
	measure_group_notifications
	measure_group_cost
}

part_slow()
{
	restart_slow
	measure_modes transactional deferred
	report_ratio 'send_message, 64 clients, flush + 2 ms' transactional 10
}

compile
"$cluster" destroy
"$cluster" prepare
eval "$("$cluster" env)"
set_mode none
say "users and chats"
sql -f "$here/delivery.sql"
mapfile -t channels < <(sql -c "SELECT chat.user_channel(sender_id) FROM bench.chats WHERE members = 2 AND client % 2 = 0")
for part in "${parts[@]}"; do
	"part_$part"
done

{ echo 'what|bar|measured|pass'; printf '%s' "$table"; } | column -t -s '|'
exit "$missed"
