#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A shell with three children that count; each checks its sum when SIGTERM comes.
status=$1

count() {
	stop=
	trap 'stop=yes' TERM
	n=0 sum=0
	echo "ready $1" >>"$status"
	while [ -z "$stop" ]; do
		n=$((n + 1))
		sum=$((sum + n))
	done
	if [ "$sum" -eq $((n * (n + 1) / 2)) ]; then
		echo "pass $1" >>"$status"
		exit 0
	fi
	echo "fail: $1: sum to $n is $sum" >>"$status"
	exit 1
}

children=
for name in a b c; do
	count "$name" &
	children="$children $!"
done
trap 'kill $children' TERM
echo "ready shell" >>"$status"
failed=0
for child in $children; do
	wait "$child"
	code=$?
	# wait returns early, once, when the trap runs.
	while [ "$code" -gt 128 ]; do
		wait "$child"
		code=$?
	done
	[ "$code" -eq 0 ] || failed=1
done
if [ "$failed" -eq 0 ]; then
	echo "pass shell" >>"$status"
else
	echo "fail: a child of the shell failed" >>"$status"
fi
exit "$failed"
