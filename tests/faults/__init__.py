"""Fuzz tests: malformed messages, files and frames for every reader, actor and server, with counts of the results.

`make faults` runs all targets. `python -m tests.faults --inputs 500 --only log` runs a part. tests/test_fuzz.py runs a small
part with the other tests. Each input is a real input (data/logs, data/conformance, tests/data) with a few mutations, so that it
passes the first checks. The target, the seed and the number of an input suffice to reproduce it.
"""
