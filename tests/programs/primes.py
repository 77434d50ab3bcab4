# SPDX-License-Identifier: GPL-2.0-only
"""Finds primes until SIGTERM, each written to a file that stays open; then
checks the file against primes found in another way."""

import signal
import sys

status = open(sys.argv[1], "a", buffering=1)
stop = False


def on_term(*_):
    global stop
    stop = True


def primes_below(end):
    sieve = bytearray([1]) * end
    sieve[:2] = b"\0\0"
    for p in range(2, int(end ** 0.5) + 1):
        if sieve[p]:
            sieve[p * p::p] = bytes(len(range(p * p, end, p)))
    return [n for n in range(end) if sieve[n]]


signal.signal(signal.SIGTERM, on_term)
factors = {}
n = 2
with open("primes.txt", "w+") as out:
    while not stop:
        # A sieve without an end: the heap grows while it runs.
        primes = factors.pop(n, None)
        if primes is None:
            factors[n * n] = [n]
            print(n, file=out)
        else:
            for p in primes:
                factors.setdefault(n + p, []).append(p)
        n += 1
        if n == 5000:
            print("ready", file=status)
    out.flush()
    out.seek(0)
    listed = [int(line) for line in out]

expected = primes_below(n)
if listed == expected:
    print("pass", file=status)
    sys.exit(0)
print(f"fail: {len(listed)} primes below {n}, expected {len(expected)}", file=status)
sys.exit(1)
