#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""LNet selftest over kfx beside kfx itself and the bare socket, interleaved on the same two CPUs.

    bench/lnet.py BUILD_DIRECTORY [--rounds N] [--milliseconds N] [--transport tcp|shm] [--concurrency N]

A round measures each once, in turn; told are medians over the rounds, and the median of the rounds' ratios with its
95 % interval. kfx perf is measured as it is by default (the program polls) and with threads, as LNet's driver runs."""
import argparse
import json
import os
import random
import subprocess
import sys

import contenders
import intervals

MIB = 1 << 20


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--milliseconds", type=int, default=1000)
    p.add_argument("--transport", choices=("tcp", "shm"), default="tcp")
    p.add_argument("--concurrency", type=int, default=16)
    p.add_argument("--cpus", default="0,1")
    p.add_argument("--json", help="write every round's figures there")
    return p.parse_args()


class Nodes:
    """Two test nodes, each on its CPU, while it lasts."""

    def __init__(self, lab, lst, uri):
        self.lst, self.uri, self.cpus, self.running = lst, uri, lab.cpus, []

    def __enter__(self):
        for number, cpu in zip((2, 3), self.cpus):
            node = subprocess.Popen(["taskset", "-c", str(cpu), self.lst, "node", "--networks", "kfx(127.0.0.%d)" % number,
                                     "--driver-option", "uri=" + self.uri], stdout=subprocess.PIPE, text=True)
            self.running.append(node)
            if not node.stdout.readline().startswith("ready"):
                raise contenders.Missing("a test node did not start")
        return self

    def __exit__(self, *_):
        for node in self.running:
            node.terminate()
            node.wait()

    def run(self, test, concurrency, seconds):
        script = ("new_session bench; add_group c 127.0.0.2@kfx; add_group s 127.0.0.3@kfx; add_batch b; "
                  "add_test --batch b --concurrency %d --from c --to s %s; run b; sleep 1; stat --delay %d --count 1 c; stop b; "
                  "end_session" % (concurrency, test, seconds))
        out = contenders.run([self.lst, "run", "--json", "--networks", "kfx(127.0.0.4)", "--driver-option",
                              "uri=" + self.uri, script])
        stat = next(json.loads(line) for line in out.splitlines() if line.startswith('{"stat"'))
        if stat["errors"] or stat["brw_errors"] or stat["ping_errors"]:
            raise contenders.Missing("the selftest reports errors: " + json.dumps(stat))
        return stat


def items(a, lab, nodes):
    """name → (unit, {contender: function}); the first is set against the others."""
    seconds = max(1, a.milliseconds // 1000)
    uri = {"tcp": "tcp://127.0.0.1:0", "shm": "shm://*"}[a.transport]
    threads = ("--progress", "threads")

    def brw(kind):
        stat = nodes.run("brw %s check=full size=1M" % kind, a.concurrency, seconds)
        return max(stat["mib_per_s"]["out"]["avg"], stat["mib_per_s"]["in"]["avg"]) * MIB

    def perf(test, size, extra=()):
        return contenders.kfx(lab, uri, test, size, a.concurrency, "ordinary", extra)

    def raw(kind):
        return contenders.reference(lab, "tcp")["%s_%d_bytes_per_second" % (kind, MIB)]

    out = {}
    for kind in ("write", "read"):
        runs = {"brw " + kind: lambda kind=kind: brw(kind),
                "kfx perf": lambda kind=kind: perf(kind, MIB)["bytes_per_second"],
                "kfx perf, threads": lambda kind=kind: perf(kind, MIB, threads)["bytes_per_second"]}
        if a.transport == "tcp":
            runs["raw stream"] = lambda kind=kind: raw(kind)
        out["1 MiB brw %s, check=full, concurrency %d" % (kind, a.concurrency)] = ("GB/s", 1e9, runs)
    out["ping, concurrency %d" % a.concurrency] = ("k/s", 1e3, {
        "lst ping": lambda: nodes.run("ping", a.concurrency, seconds)["rpc_per_s"]["out"]["avg"],
        "kfx perf call": lambda: perf("call", 72, ("--header", "72"))["ops_per_second"],
        "kfx perf call, threads": lambda: perf("call", 72, ("--header", "72", *threads))["ops_per_second"]})
    return out


def main():
    a = arguments()
    lab = contenders.Lab(a.build, [int(c) for c in a.cpus.split(",")], a.milliseconds)
    lst = os.path.join(a.build, "examples/lnd/tools/kfx-lst")
    place = {"tcp": "tcp://%%a:%d" % random.randint(20000, 30000), "shm": "shm://lnet-bench-%d-%%a" % os.getpid()}
    figures = {}
    with Nodes(lab, lst, place[a.transport]) as nodes:
        wanted = items(a, lab, nodes)
        for _ in range(a.rounds):
            for name, (_, _, runs) in wanted.items():
                for who, run in runs.items():
                    figures.setdefault(name, {}).setdefault(who, []).append(run())
    for name, (unit, scale, runs) in wanted.items():
        print("%s over %s" % (name, a.transport))
        ours = next(iter(runs))
        for who in runs:
            text = "  %-24s %8.2f %s" % (who, intervals.summary(figures[name][who])["median"] / scale, unit)
            if who != ours:
                ratio = intervals.summary([x / y for x, y in zip(figures[name][ours], figures[name][who])])
                text += "   %s is %.2f of it (%.2f..%.2f)" % (ours, ratio["median"], ratio["low"], ratio["high"])
            print(text)
    if a.json:
        with open(a.json, "w", encoding="utf-8") as f:
            json.dump(figures, f, indent=1)


if __name__ == "__main__":
    try:
        main()
    except contenders.Missing as e:
        sys.exit("lnet: %s" % e)
