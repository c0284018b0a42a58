"""Check the clients in clients/ and write their recordings: `python benchmarks/field.py NAME=COMMAND ... [--draws N]`.

`data/field/NAME.jsonl.gz` has the recording of every case and of the first drawn sessions, `data/field/NAME.csv` a row per session.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from voicerace.conformance.acceptance import check_client
from voicerace.experiments.client_checks import client_cases, group_of
from voicerace.trace.recording import write_recordings

#: Number of drawn sessions per group whose recordings are kept.
KEPT_DRAWS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("client", nargs="+", metavar="NAME=COMMAND")
    parser.add_argument("--draws", type=int, default=20, metavar="N")
    parser.add_argument("--at-once", type=int, default=4, metavar="N")
    parser.add_argument("--out", type=Path, default=Path("data/field"), metavar="DIR")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    cases = client_cases(given.draws)
    for word in given.client:
        name, _, command = word.partition("=")
        with tqdm(total=len(cases), desc=name, unit="session", file=sys.stderr) as bar:
            report = check_client(shlex.split(command), cases, at_once=given.at_once, tick=bar.update)
        with (given.out / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["group", "case", "outcome", "wedged", "result", "why"])
            for each in report.checked:
                verdict = each.verdict
                rows.writerow(
                    [
                        group_of(each.case),
                        each.case.name,
                        verdict.outcome,
                        bool(verdict.wedged),
                        " ".join(each.wrong) or "passed",
                        each.why or verdict.why,
                    ]
                )
        drawn = dict.fromkeys((group_of(each.case) for each in report.checked), 0)
        kept = []
        for each in report.checked:
            if "seed=" in each.case.name:
                drawn[group_of(each.case)] += 1
                if drawn[group_of(each.case)] > KEPT_DRAWS:
                    continue
            provenance = {**each.recording.provenance, "case": each.case.name, "checked_client": name}
            kept.append(replace(each.recording, provenance=provenance))
        write_recordings(given.out / f"{name}.jsonl.gz", kept)


if __name__ == "__main__":
    main()
