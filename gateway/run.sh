#!/usr/bin/env bash
# run.sh: what `make run` does: from a clone to a page that answers, in the foreground.
#
#   1 packages  2 build, install (nothing when nothing changed)  3 private cluster, extension, role gateway
#   4 DEMO=1: demo users  5 chat-gateway on 127.0.0.1:PORT  6 the one line on stdout: ready http://127.0.0.1:PORT
#   7 wait.  Ctrl-C, SIGTERM, SIGHUP: drain the gateway, stop the cluster, exit 0.  Again: without draining.
#
# Everything but line 6 goes to stderr. The data stays for the next time (extension/test/cluster.sh says where).
# The lock is on the checkout's directory itself, so nothing is left behind, whatever kills us. The kernel
# terminates the gateway with us (cluster.sh as); a server left over is stopped at the next start, for its library may be an old one.

set -euo pipefail
cd "$(dirname "$0")/.."
root=$(pwd -P)
port=${PORT:-8080}
log_level=${LOG_LEVEL:-info}
cluster=$root/extension/test/cluster.sh
export CHAT_CLUSTER=run
gateway=
ready=

say() { echo "run: $*" >&2; }
die() { say "$@"; exit 1; }

stop()
{
	local status=$?
	trap '[ -z "$gateway" ] || kill -KILL "$gateway" 2> /dev/null' INT TERM HUP
	if [ -n "$gateway" ] && kill -TERM "$gateway" 2> /dev/null; then
		say "draining the gateway"
		for _ in $(seq 400); do
			kill -0 "$gateway" 2> /dev/null || break
			sleep 0.1
		done
		kill -KILL "$gateway" 2> /dev/null && say "the gateway did not drain in time" && status=1
	fi
	if [ -n "$clustered" ]; then
		say "stopping the cluster"
		"$cluster" stop 9<&- || status=1
	fi
	exit "$status"
}

interrupted()
{
	[ -n "$ready" ] || exit 1
	exit 0
}

# One GET; prints the status code, 000 when nobody answers.
http_status()
{
	local line=
	{ exec 3<> "/dev/tcp/127.0.0.1/$port"; } 2> /dev/null || { echo 000; return; }
	printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$1" "$port" >&3
	read -r -t 2 line <&3 || true
	exec 3>&-
	[[ $line =~ ^HTTP/1\.[01]\ ([0-9]{3}) ]] && echo "${BASH_REMATCH[1]}" || echo 000
}

[[ $port =~ ^[1-9][0-9]{0,4}$ ]] && [ "$port" -le 65535 ] || die "PORT=$port is not a port"
clustered=
trap stop EXIT
trap interrupted INT TERM HUP

exec 9< "$root"
flock -n 9 || die "another 'make run' is at work in $root"
# An open port is somebody's, whoever it is; the kernel alone would let two gateways of one user share it.
if { exec 3<> "/dev/tcp/127.0.0.1/$port"; } 2> /dev/null; then
	exec 3>&-
	die "port $port is in use; choose another one: make run PORT=8081"
fi

.ci/packages run >&2 9<&-
[ -e chat.so ] && [ -e chat-gateway ] || say "building"
.ci/install >&2 9<&-

clustered=yes
"$cluster" stop >&2 9<&-
"$cluster" prepare >&2 9<&-
sockets=$("$cluster" env | sed 's/.*PGHOST=\([^ ]*\).*/\1/')

if [ -n "${DEMO:-}" ] && [ "${DEMO:-}" != 0 ]; then
	say "demo users: alice, bob and carol, password: demo password"
	"$cluster" psql -X -q -v ON_ERROR_STOP=1 -o /dev/null -f - < gateway/demo.sql >&2 9<&-
fi

"$cluster" as "$root/chat-gateway" \
	--listen="127.0.0.1:$port" --database="host=$sockets dbname=chat user=gateway" --web-root="$root/gateway/web" --log-level="$log_level" \
	>&2 9<&- &
gateway=$!

for _ in $(seq 300); do
	kill -0 "$gateway" 2> /dev/null || break
	if [ "$(http_status /)" = 200 ] && [ "$(http_status /readyz)" != 503 ]; then
		ready=yes
		break
	fi
	sleep 0.1
done
[ -n "$ready" ] || die "the gateway does not answer on port $port; what it says stands above"
echo "ready http://127.0.0.1:$port"

wait "$gateway" || true
gateway=
die "the gateway has ended by itself"
