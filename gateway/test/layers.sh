#!/bin/sh
# layers.sh: do the includes of the gateway keep to its layers? Prints every one that does not; exit 1 then.
#
#   main.c -> net -> chat -> pg -> io -> base, and codec -> base; a layer includes its own headers and lower ones.
#   lws: io and net only. libuv: io, net and pg only. libpq: pg only. codec does no I/O.

cd "$(dirname "$0")/.." || exit 2

for file in main.c base/*.[ch] codec/*.[ch] io/*.[ch] pg/*.[ch] chat/*.[ch] net/*.[ch]; do
	case $file in
		base/*) allowed='base' foreign='uv\.h|libwebsockets|libpq' ;;
		codec/*) allowed='codec|base' foreign='uv\.h|libwebsockets|libpq|sys/socket\.h|unistd\.h|fcntl\.h' ;;
		io/*) allowed='io|base' foreign='libpq' ;;
		pg/*) allowed='pg|io|base' foreign='libwebsockets' ;;
		chat/*) allowed='chat|codec|pg|io|base' foreign='uv\.h|libwebsockets|libpq' ;;
		net/*) allowed='net|chat|codec|pg|io|base' foreign='libpq' ;;
		*) allowed='net|chat|codec|pg|io|base' foreign='uv\.h|libwebsockets|libpq' ;;
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
