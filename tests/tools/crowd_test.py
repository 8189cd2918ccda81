#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""kfx-crowd with a few peers: crowd_test.py KFX_CROWD"""
import json
import os
import resource
import subprocess
import sys

PEERS = 20
FEW = ["--peers", str(PEERS), "--storm-peers", str(2 * PEERS), "--rounds", "2", "--milliseconds", "30", "--seconds", "0.5"]
ITEMS = {"latency": {"low", "high", "rounds"}, "memory": {"private_kib", "shared_kib", "page_tables_kib"},
         "storm": {"seconds", "processes", "connections"}, "crowd": {"lost", "idle_seconds"},
         "idle": {"wakeups", "seconds", "keepalive_ms", "disturbed"}}


def run(*args, status=0, **options):
    done = subprocess.run([sys.argv[1], *args], capture_output=True, text=True, timeout=120, check=False, **options)
    assert done.returncode == status, "%s: status %d\n%s%s" % (args, done.returncode, done.stdout, done.stderr)
    return done


def check(f):
    assert set(f) == {"item", "transport", "what", "value", "at_most", "met", "more"}, f
    assert ITEMS[f["item"]] <= set(f["more"]) and f["more"]["peers"] in (1, PEERS, 2 * PEERS), f
    assert f["met"] == (f["at_most"] is None or f["value"] <= f["at_most"]), f
    if f["item"] == "storm":
        assert f["value"] == 0 and f["more"]["connections"] == 2 * PEERS, f
    if f["item"] == "crowd":
        assert f["value"] == 0 and f["more"]["lost"] == 0, f
    if f["item"] == "memory":
        # A ring is touched, or there is none: a peer over TCP has no memory that two share.
        assert (f["more"]["shared_kib"] > 0) == (f["transport"] == "shm"), f
    # The system itself may keep everybody awake for longer than the look was made again.
    if f["item"] == "idle" and f["at_most"] is not None and f["more"]["disturbed"] < 5:
        assert f["value"] == 0, f


def main():
    if len(os.sched_getaffinity(0)) < 2:
        print("two CPUs are needed")
        sys.exit(77)  # skipped
    cpus = ",".join(str(c) for c in sorted(os.sched_getaffinity(0))[:2])
    figures = json.loads(run("--json", "--cpus", cpus, *FEW).stdout)["figures"]
    for f in figures:
        check(f)
    assert {(f["item"], f["transport"]) for f in figures} == {(i, t) for i in ITEMS for t in ("shm", "tcp")}
    text = run("storm", "--transports", "tcp", *FEW).stdout
    assert "met" in text and "MISSED" not in text, text
    # What it cannot do for want of descriptors it says at once.
    poor = run("storm", *FEW, status=2, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    assert "ulimit -Hn" in poor.stderr and "64" in poor.stderr, poor.stderr
    assert "latency" in run("nonsense", status=105).stderr


main()
