#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""bench/check.py and bench/intervals.py: check_test.py BENCH_FOLDER"""
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile

BENCH = os.path.abspath(sys.argv[1])
sys.path.insert(0, BENCH)
sys.dont_write_bytecode = True
import intervals  # noqa: E402  (found through the line above)


def result(factor, spread, chance, rounds=9):
    """Two items, one where lower is better and one where higher is, both `factor` worse than a ratio of 2."""
    items = []
    for lower in (True, False):
        middle = 2 * factor if lower else 2 / factor
        values = [middle * chance.uniform(1 - spread, 1 + spread) for _ in range(rounds)]
        items.append({"name": "low" if lower else "high", "lower_is_better": lower, "place": "near",
                      "ratios": [{"kfx": "kfx send", "to": "machine", **intervals.summary(values)}]})
    return {"items": items}


def check(folder, name, data, *args):
    path = os.path.join(folder, name + ".json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(data, f)
    command = [sys.executable, os.path.join(BENCH, "check.py"), path, "--baseline", os.path.join(folder, "baseline.json"),
               *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def bootstrap(chance):
    """A 95 % interval holds the median of what was drawn from nearly always, and is not all there is."""
    held = 0
    for i in range(200):
        values = [chance.gauss(10, 1) for _ in range(15)]
        low, high = intervals.interval(values, draws=400, seed=i)
        assert min(values) <= low <= statistics.median(values) <= high <= max(values)
        held += low <= 10 <= high
    assert 170 <= held, held
    assert intervals.interval([3.0]) == (3.0, 3.0)


def main():
    seed = int(os.environ.get("KFX_TEST_SEED", random.randrange(1 << 30)))
    print("KFX_TEST_SEED=%d" % seed)
    chance = random.Random(seed)
    bootstrap(chance)
    with tempfile.TemporaryDirectory() as folder:
        assert check(folder, "none", result(1, 0.02, chance)).returncode == 2  # nothing to compare with
        assert check(folder, "first", result(1, 0.02, chance), "--update").returncode == 0
        for factor, status in ((1, 0), (0.5, 0), (1.05, 0), (1.3, 1), (3, 1)):
            done = check(folder, "now", result(factor, 0.02, chance))
            assert done.returncode == status, (factor, done)
            assert done.stdout.count("WORSE") == 2 * status, done.stdout
        # Worse by more than the tolerance, but so spread out that nobody can be sure.
        unsure = result(1.2, 0.02, chance)
        for item in unsure["items"]:
            item["ratios"][0].update(low=item["ratios"][0]["median"] * 0.5, high=item["ratios"][0]["median"] * 2)
        assert check(folder, "unsure", unsure).returncode == 0
        # Another placement of the CPUs is another baseline; an update keeps the first one.
        far = result(3, 0.02, chance)
        for item in far["items"]:
            item["place"] = "far"
        assert check(folder, "far", far).returncode == 2
        assert check(folder, "far", far, "--update").returncode == 0
        assert check(folder, "far", far).returncode == 0
        assert check(folder, "near", result(1, 0.02, chance)).returncode == 0


main()
