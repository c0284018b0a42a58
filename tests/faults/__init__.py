"""Faults in one suite: what is no message, no file and no frame, to every reader, actor and server; with counts.

`make faults` runs it whole, `python -m tests.faults --inputs 500 --only log` a share of it. The ordinary tests take a small
one (tests/test_fuzz.py). An input is made from a real one (data/logs, data/conformance, tests/data) by a few mutations, so
that it gets behind the first check. It is named by target, seed and number, and made again from these alone.
"""
