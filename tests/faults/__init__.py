"""A suite of faults: malformed messages, files and frames for every reader, actor and server, with counts.

`make faults` runs all of it, `python -m tests.faults --inputs 500 --only log` a part. The ordinary tests run a small part
(tests/test_fuzz.py). Each input is a real one (data/logs, data/conformance, tests/data) with a few mutations, so
that it passes the first checks. An input is identified by target, seed and number, which suffice to reproduce it.
"""
