#!/bin/sh
# layers.sh: do the includes of the gateway keep to its layers? Prints every one that does not; exit 1 then.
#
#   main.c -> net -> chat -> pg -> io -> base, and codec -> base; a layer includes its own headers and lower ones.
#   bench, the load generator, stands on base and codec.
#   lws: io and net only. libuv: io, net and pg only. libpq: pg only. libcurl: io/fetch.c only. OpenSSL: codec only.
#   codec does no I/O.

cd "$(dirname "$0")/.." || exit 2

for file in main.c base/*.[ch] codec/*.[ch] io/*.[ch] pg/*.[ch] chat/*.[ch] net/*.[ch] bench/*.[ch]; do
	case $file in
		base/*) allowed='base' foreign='uv\.h|libwebsockets|libpq|curl|openssl' ;;
		codec/*) allowed='codec|base' foreign='uv\.h|libwebsockets|libpq|curl|sys/socket\.h|unistd\.h|fcntl\.h' ;;
		io/fetch.c) allowed='io|base' foreign='libwebsockets|libpq|openssl' ;;
		io/*) allowed='io|base' foreign='libpq|curl|openssl' ;;
		pg/*) allowed='pg|io|base' foreign='libwebsockets|curl|openssl' ;;
		chat/*) allowed='chat|codec|pg|io|base' foreign='uv\.h|libwebsockets|libpq|curl|openssl' ;;
		net/*) allowed='net|chat|codec|pg|io|base' foreign='libpq|curl|openssl' ;;
		bench/*) allowed='bench|codec|base' foreign='libwebsockets|libpq|curl|openssl' ;;
		*) allowed='net|chat|codec|pg|io|base' foreign='uv\.h|libwebsockets|libpq|curl|openssl' ;;
	esac
	grep -nE '^#include "' "$file" | grep -vE "^[0-9]+:#include \"($allowed)/" | sed "s|^|$file:|; s|\$|   (upward)|"
	grep -nE "^#include <($foreign)" "$file" | sed "s|^|$file:|; s|\$|   (not known in this layer)|"
done | {
	bad=0
	while IFS= read -r line; do
		echo "$line"
		bad=1
	done
	[ $bad = 0 ] && echo "layers: every include keeps to its layer"
	exit $bad
}
