#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Counts what a `meson test` run did.

    summarise.py LABEL BUILD-DIRECTORY [SUITE…]

Prints what failed, and as its last line `passed failed skipped`. A Catch2 program counts by its cases, any other
test as one; a program that died, hung or was never run counts as one failure.
"""

import json
import pathlib
import re
import sys

ALL_PASSED = re.compile(r"^All tests passed \(\d+ assertions? in (\d+) test cases?\)", re.M)
SOME_FAILED = re.compile(r"^test cases:\s*(\d+)\s*\|(?:\s*(\d+) passed\s*\|)?\s*(\d+) failed", re.M)
GOOD = {"OK", "EXPECTEDFAIL"}


def count(entry):
    """(passed, failed, skipped) of one meson test."""
    output = (entry.get("stdout") or "") + (entry.get("stderr") or "")
    result = entry["result"]
    if result == "SKIP":
        return 0, 0, 1
    if result in GOOD:
        cases = ALL_PASSED.findall(output)
        return max(1, sum(map(int, cases))), 0, 0
    broken = SOME_FAILED.findall(output)
    passed = sum(int(p or 0) for _, p, _ in broken)
    return passed, max(1, sum(int(f) for _, _, f in broken)), 0


def main(label, build):
    log = pathlib.Path(build, "meson-logs", "testlog.json")
    totals = [0, 0, 0]
    names = 0
    if log.exists():
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            entry = json.loads(line)
            counted = count(entry)
            names += 1
            totals = [t + c for t, c in zip(totals, counted)]
            if counted[1]:
                print(f"  {label}: {entry['name']}: {entry['result']} ({counted[1]} failed)")
            elif counted[2]:
                print(f"  {label}: {entry['name']}: skipped")
    if names == 0:
        print(f"  {label}: no test was run")
        totals[1] += 1
    print(f"  {label}: {names} meson tests")
    print(*totals)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
