#!/usr/bin/env bash
# cluster.sh: private PostgreSQL clusters of this checkout, for `make run` and for the tests.
#
#   cluster.sh start       server up (made on first use; whatever was left of a killed one is cleared away)
#   cluster.sh prepare     start, then database chat with the extension in it, and the login role gateway
#   cluster.sh stop        fast shutdown; the data stays
#   cluster.sh destroy     shutdown, and the data goes
#   cluster.sh env         one line of shell: export PGHOST=… PGPORT=… PGDATABASE=… PGUSER=…
#   cluster.sh psql …      psql on it
#   cluster.sh path        the directory that holds it: data/, log, and room for the caller's own files
#   cluster.sh as …        become a command, as the server's user if that one can reach it (else as the caller);
#                          it is terminated when the caller dies
#
#   CHAT_CLUSTER=run       name; each name is a cluster of its own
#   CHAT_PRELOAD=chat      shared_preload_libraries, may be empty
#   CHAT_FSYNC=on          off for what may be lost
#   CHAT_OPTIONS=…         further lines for postgresql.conf
#   CHAT_SERVER_ENV=…      NAME=value words for the server's environment, and for nobody else's
#   CHAT_SERVER_USER=postgres   whom root becomes
#
# Where: .pg/NAME under the checkout, or /var/tmp/chat-HASH/NAME where the server's user cannot get there (root's
# home). The server refuses to be root, so root becomes an unprivileged user for it; anybody else stays himself.
# The socket is in /tmp/chat-HASH, 0700: its path may have 107 bytes at most, and being able to open it is all the
# authentication there is (trust; no TCP).
#
# Invariants: only processes whose working directory is our data directory are ever signalled; only directories
# that carry our mark are ever removed; a cluster comes into being by rename, so there is no half one.

set -euo pipefail

name=${CHAT_CLUSTER:-run}
preload=${CHAT_PRELOAD-chat}
fsync=${CHAT_FSYNC:-on}
options=${CHAT_OPTIONS:-}
pg_config=${PG_CONFIG:-pg_config}

die() { echo "cluster $name: $*" >&2; exit 1; }
say() { [ -n "${CHAT_QUIET:-}" ] || echo "cluster $name: $*" >&2; }

[[ $name =~ ^[a-z0-9_-]{1,40}$ ]] || die "a name is 1-40 of a-z 0-9 _ -"

root=$(cd "$(dirname "$0")/../.." && pwd -P)
bin=$($pg_config --bindir) || die "no pg_config; run .ci/packages"
[ -x "$bin/initdb" ] || die "no PostgreSQL server in $bin; run .ci/packages"

user=$(id -un)
if [ "$(id -u)" = 0 ]; then
	user=${CHAT_SERVER_USER:-postgres}
	id -u "$user" > /dev/null 2>&1 || user=nobody
fi

# Not runuser: that forks, and a signal for the command would end up with runuser.
drop=()
[ "$(id -un)" = "$user" ] || drop=(setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups -- env HOME=/)
as_server() { "${drop[@]}" "$@"; }

hash_of() { printf '%s' "$1" | sha256sum | cut -c1-"$2"; }

# base: the parent of all clusters. The first place that the caller can write, the server's user can reach, and
# where nobody else has a cluster of this name.
usable()
{
	local dir=$1
	mkdir -p "$dir" 2> /dev/null && [ -w "$dir" ] && as_server test -x "$dir" || return 1
	[ -O "$dir" ] || [ "$(stat -c %U "$dir")" = "$user" ] || [ "$(id -u)" = 0 ] || return 1
	[ ! -L "$dir" ] || return 1
	[ ! -e "$dir/$name" ] || [ "$(stat -c %U "$dir/$name")" = "$user" ]
}

cd /
base=
for dir in "$root/.pg" "/var/tmp/chat-$(hash_of "$root:$user" 16)"; do
	if usable "$dir"; then
		base=$dir
		break
	fi
done
[ -n "$base" ] || die "neither $root/.pg nor /var/tmp can hold a cluster of user $user"

home=$base/$name
data=$home/data
log=$home/log
sockets=/tmp/chat-$(hash_of "$home" 8)
mark=$home/made-by-chat

# Processes of this very cluster, orphans of a killed postmaster included: all live in the data directory.
processes()
{
	local dir
	for dir in /proc/[0-9]*; do
		[ "$(readlink "$dir/cwd" 2> /dev/null)" = "$data" ] && echo "${dir#/proc/}"
	done
	return 0
}

# Not pg_ctl status: to that a zombie, or whoever has the number now, is a server.
running()
{
	local pid
	pid=$(as_server head -n 1 "$data/postmaster.pid" 2> /dev/null) &&
		[ "$(readlink "/proc/$pid/cwd" 2> /dev/null)" = "$data" ]
}

create()
{
	local locale=C
	if [ -n "$(locale -a 2> /dev/null | grep -ix 'c\.utf-\?8')" ]; then
		locale=C.UTF-8
	elif [ -n "$(locale -a 2> /dev/null | grep -ix 'en_us\.utf-\?8')" ]; then
		locale=en_US.UTF-8
	fi
	say "making it in $home"
	[ "$(id -un)" = "$user" ] && install -d -m 0700 "$home" || install -d -m 0700 -o "$user" "$home"
	as_server touch "$mark"
	as_server rm -rf "$data.new"
	as_server "$bin/initdb" -D "$data.new" -U postgres --auth=trust --encoding=UTF8 --locale="$locale" --no-sync \
		> "$home/initdb.log" 2>&1 || { cat "$home/initdb.log" >&2; die "initdb failed"; }
	echo "include 'chat.conf'" | as_server tee -a "$data.new/postgresql.conf" > /dev/null
	[ "$fsync" = off ] || as_server "$bin/initdb" --sync-only -D "$data.new" > /dev/null 2>&1
	as_server mv "$data.new" "$data"
}

configure()
{
	as_server tee "$data/chat.conf" > /dev/null <<-CONF
		# Written by cluster.sh at every start.
		listen_addresses = ''
		port = 5432
		unix_socket_directories = '$sockets'
		unix_socket_permissions = 0700
		shared_preload_libraries = '$preload'
		cron.database_name = 'chat'
		max_connections = 200
		fsync = $fsync
		log_line_prefix = '%m [%p] %q%u@%d '
		$options
	CONF
}

# The directory that is all the authentication: ours alone, whoever else writes to /tmp.
make_sockets()
{
	as_server mkdir -m 0700 "$sockets" 2> /dev/null || true
	[ -d "$sockets" ] && [ ! -L "$sockets" ] && [ "$(stat -c '%U %a' "$sockets")" = "$user 700" ] ||
		die "$sockets exists and is not $user's alone; remove it"
}

# After kill -9 of the postmaster: its children notice within moments, then nobody lives in the data directory any
# more, and the lock files are stale, whoever has their number now.
clear_remains()
{
	local tries pids
	for tries in $(seq 100); do
		pids=$(processes)
		[ -n "$pids" ] || break
		[ "$tries" != 1 ] || say "clearing away what was left of a killed server"
		# shellcheck disable=SC2086
		[ "$tries" -lt 30 ] || kill -QUIT $pids 2> /dev/null || true
		# shellcheck disable=SC2086
		[ "$tries" -lt 80 ] || kill -KILL $pids 2> /dev/null || true
		sleep 0.1
	done
	as_server rm -f "$data/postmaster.pid" "$sockets/.s.PGSQL.5432" "$sockets/.s.PGSQL.5432.lock"
}

start()
{
	[ -e "$data/PG_VERSION" ] || create
	local major
	major=$("$bin/postgres" -V | sed 's/[^0-9]*\([0-9]*\).*/\1/')
	[ "$(as_server cat "$data/PG_VERSION")" = "$major" ] ||
		die "made by PostgreSQL $(as_server cat "$data/PG_VERSION"), this is $major; '$0 destroy' throws its data away"
	make_sockets
	running && return
	clear_remains
	configure
	local from
	from=$(as_server sh -c "cat '$log' 2> /dev/null | wc -l")
	# shellcheck disable=SC2086
	as_server env ${CHAT_SERVER_ENV:-} "$bin/pg_ctl" -D "$data" -l "$log" -s -w -t 120 start > /dev/null 2> "$errors" || {
		cat "$errors" >&2
		as_server tail -n "+$((from + 1))" "$log" | tail -n 20 >&2
		die "did not start"
	}
}

stop()
{
	if running; then
		as_server "$bin/pg_ctl" -D "$data" -s -w -t 60 -m "$1" stop ||
			as_server "$bin/pg_ctl" -D "$data" -s -w -t 30 -m immediate stop
	fi
	[ ! -d "$sockets" ] || [ -L "$sockets" ] || as_server rm -rf "$sockets"
}

sql() { "$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$sockets" -p 5432 -U postgres "$@"; }

# One extension script is one state: same version but other text means that the objects in an older database are
# not those of the checkout, and no ALTER EXTENSION will tell.
warn_if_stale()
{
	local version script sum
	version=$(sql -d chat -Atc "SELECT extversion FROM pg_extension WHERE extname = 'chat'")
	script=$($pg_config --sharedir)/extension/chat--$version.sql
	sum=$(sha256sum < "$script" 2> /dev/null | cut -c1-64) || return 0
	if [ "$1" = new ] || [ ! -e "$home/script-$version" ]; then
		echo "$sum" | as_server tee "$home/script-$version" > /dev/null
	elif [ "$(as_server cat "$home/script-$version")" != "$sum" ]; then
		say "chat--$version.sql has changed since its objects were made here, and its version has not;"
		say "they stay as they are. 'make reset' starts anew, without the data"
	fi
}

prepare()
{
	start
	[ -n "$(sql -d postgres -Atc "SELECT 1 FROM pg_database WHERE datname = 'chat'")" ] ||
		sql -d postgres -c "CREATE DATABASE chat TEMPLATE template0"
	if [ -n "$(sql -d chat -Atc "SELECT 1 FROM pg_extension WHERE extname = 'chat'")" ]; then
		PGOPTIONS="-c client_min_messages=warning" sql -d chat -c "ALTER EXTENSION chat UPDATE"
		warn_if_stale old
	else
		say "creating the extension"
		PGOPTIONS="-c client_min_messages=warning" sql -d chat -c "CREATE EXTENSION chat CASCADE"
		warn_if_stale new
	fi
	[ -n "$(sql -d chat -Atc "SELECT 1 FROM pg_roles WHERE rolname = 'gateway'")" ] ||
		sql -d chat -c "CREATE ROLE gateway LOGIN IN ROLE chat_gateway"
}

destroy()
{
	[ -e "$home" ] || return 0
	[ -e "$mark" ] || die "$home is not ours"
	stop immediate
	clear_remains
	rm -rf "$home"
	rmdir "$base" 2> /dev/null || true
}

# Everything else that looks like a setting of the caller's would lead libpq elsewhere.
unset PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGSERVICE PGSERVICEFILE PGOPTIONS PGSSLMODE PGDATA
errors=/dev/null

command=${1:-help}
[ $# = 0 ] || shift
case $command in
start | prepare)
	errors=$(mktemp)
	trap 'rm -f "$errors"' EXIT
	"$command"
	;;
stop) stop fast ;;
destroy) destroy ;;
env) echo "export PGHOST=$sockets PGPORT=5432 PGDATABASE=chat PGUSER=postgres" ;;
path) echo "$home" ;;
as)
	as_server test -x "$(command -v "$1")" || drop=()
	exec "${drop[@]}" setpriv --pdeathsig TERM -- "$@"
	;;
psql)
	running || die "it does not run; make run starts it"
	PGHOST=$sockets PGPORT=5432 PGDATABASE=chat PGUSER=postgres exec "$bin/psql" "$@"
	;;
*) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" ;;
esac
