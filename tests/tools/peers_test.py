#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""bench/peers.py with programs that tell what the test wants: peers_test.py BENCH_FOLDER"""
import os
import subprocess
import sys
import tempfile

BENCH = os.path.abspath(sys.argv[1])
KFX = """#!%s
import json
print(json.dumps({"results": [{"latency_ns": {"p50": 1000}, "ops_per_second": 1e6, "bytes_per_second": 1e9}]}))
"""
# A hop of so many ns, or of two kinds in turns: no round of that begins and ends in one placement.
REFERENCE = """#!%s
import json, os, sys
seen = os.path.join(os.path.dirname(__file__), "seen")
n = os.path.getsize(seen) if os.path.exists(seen) else 0
if sys.argv[1] == "hop":
    open(seen, "a").write("x")
print(json.dumps({"hop": {"one_way_ns": 50 if n %% 2 == 0 or %s else 500}, "tcp": {"one_way_ns": 900, "round_trip_ns": 1800}}))
"""


def script(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, 0o755)


def peers(steady, *options):
    with tempfile.TemporaryDirectory() as build:
        script(os.path.join(build, "tools/kfx/kfx"), KFX % sys.executable)
        script(os.path.join(build, "bench/kfx-reference"), REFERENCE % (sys.executable, steady))
        # Without the others' programs, should they be installed.
        done = subprocess.run([sys.executable, "-B", os.path.join(BENCH, "peers.py"), build, "--rounds", "2", "--transports",
                               "tcp", "--only", "8 B submit", *options], capture_output=True, text=True, timeout=120,
                              check=False, env={**os.environ, "PATH": build})
        return done.returncode, done.stdout + done.stderr


if (os.cpu_count() or 1) < 2:
    print("two CPUs are needed")
    sys.exit(77)
# As much company as there may be: the machine is shared.
status, said = peers(True, "--others", "9")
assert status == 0 and "2 near rounds" in said, (status, said)
status, said = peers(False, "--others", "9")
assert status == 1 and "NO ROUND COUNTS (6 mixed" in said and "--others" in said, (status, said)
