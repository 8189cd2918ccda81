#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""kfx beside its peers and the bare machine.

In each round of each item everybody is measured once, one after the other, on the same two CPUs, with a look at the
cache-line hop between them before and after: where a hypervisor moves CPUs about, a round during which the hop changed
is thrown away and made again, and so is one during which other programs used these CPUs. What is told are ratios within
a round, their median and its 95 % interval. Status 1: of some item no round counts.
"""
import argparse
import json
import os
import platform
import resource
import signal
import statistics
import sys

import contenders
import figures
import intervals


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", help="build directory with tools/kfx/kfx and bench/kfx-reference")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--cpus", default="0,1", help="the two CPUs, default 0,1")
    p.add_argument("--transports", default="shm,tcp")
    p.add_argument("--only", default="", help="items whose name has this in it")
    p.add_argument("--milliseconds", type=int, default=60, help="of each figure; default 60")
    p.add_argument("--json", help="write everything to this file")
    p.add_argument("--plots", metavar="DIRECTORY", help="write charts of kfx perf --all there")
    p.add_argument("--others", type=float, default=0.1,
                   help="share of the two CPUs that other programs may use during a round; default 0.1")
    p.add_argument("--near", type=float, default=100, help="a hop below so many ns is near, else far; default 100")
    return p.parse_args()


class Rounds:
    """The rounds of one item that count."""

    def __init__(self, item):
        self.item = item
        self.rounds = []  # {"hop": ns, "place": near or far, "values": {name: figure}}
        self.mixed = 0
        self.disturbed = 0
        self.missing = {}

    def place(self):
        """The placement that most rounds had."""
        return statistics.mode(r["place"] for r in self.rounds) if self.rounds else None

    def column(self, name):
        return [r["values"][name] for r in self.rounds if r["place"] == self.place() and name in r["values"]]

    def ratios(self):
        """(ours, other) → summary of ours / other within a round."""
        out = {}
        names = [n for n in self.item.runs if n not in self.missing]
        for ours in (n for n in names if n.startswith("kfx")):
            for other in (n for n in names if not n.startswith("kfx")):
                both = [r["values"][ours] / r["values"][other] for r in self.rounds
                        if r["place"] == self.place() and ours in r["values"] and r["values"].get(other)]
                if both:
                    out[ours, other] = intervals.summary(both)
        return out


def hop(lab):
    return contenders.reference(lab, "hop")["one_way_ns"]


class Neighbours:
    """What other programs use of the two CPUs from now on."""

    def __init__(self, lab):
        self.names = {"cpu%d" % c for c in lab.cpus}
        self.before = self.busy() - self.own()

    def busy(self):
        """Seconds that anybody ran there, or that the hypervisor took."""
        with open("/proc/stat", encoding="ascii") as f:
            rows = [line.split() for line in f if line.split()[0] in self.names]
        self.total = sum(int(x) for r in rows for x in r[1:9]) / os.sysconf("SC_CLK_TCK")
        return self.total - sum(int(x) for r in rows for x in r[4:6]) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def own():
        used = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
        return sum(u.ru_utime + u.ru_stime for u in used)

    def share(self):
        start = self.total
        others = self.busy() - self.own() - self.before
        return max(0, others / max(self.total - start, 0.01))


def one_round(lab, rounds, options):
    """A round, if it counts."""
    neighbours = Neighbours(lab)
    before = hop(lab)
    values = {}
    for name, figure in rounds.item.runs.items():
        if name in rounds.missing:
            continue
        try:
            values[name] = figure(lab)
        except contenders.Missing as e:
            if name.startswith("kfx") or name == "machine":
                raise SystemExit("peers: %s, %s: %s" % (rounds.item.name, name, e)) from e
            rounds.missing[name] = str(e)
            print("LEFT OUT: %s of “%s”: %s" % (name, rounds.item.name, e), file=sys.stderr)
    after = hop(lab)
    others = neighbours.share()
    if others > options.others:
        rounds.disturbed += 1
    elif (before < options.near) != (after < options.near):
        rounds.mixed += 1
    else:
        rounds.rounds.append({"hop": (before + after) / 2, "others": others,
                              "place": "near" if before < options.near else "far", "values": values})


def measure(lab, everything, options):
    """Round by round over all items, so that what changes in the machine touches all alike."""
    wanted = options.rounds
    for number in range(1, 3 * wanted + 1):
        due = [r for r in everything if len(r.rounds) < wanted]
        for i, r in enumerate(due):
            if sys.stderr.isatty():
                print("\r\033[Kround %d, %d/%d: %s" % (number, i + 1, len(due), r.item.name), end="", file=sys.stderr)
            one_round(lab, r, options)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)


def figure_text(value, unit):
    if unit == "ns":
        return "%.0f ns" % value if value < 1e4 else "%.1f us" % (value / 1e3)
    return "%.2f M/s" % (value / 1e6) if unit == "op/s" else "%.2f GB/s" % (value / 1e9)


def tell(r, options):
    if not r.rounds:
        print("\n%s: NO ROUND COUNTS (%d mixed, %d disturbed by other programs, which may have %.0f %% of the two CPUs: "
              "--others)" % (r.item.name, r.mixed, r.disturbed, 100 * options.others))
        return
    hops = [x["hop"] for x in r.rounds if x["place"] == r.place()]
    print("\n%s (%s is better; %d %s rounds, hop %.0f ns; thrown away: %d mixed, %d disturbed)" %
          (r.item.name, "lower" if r.item.lower_is_better else "higher", len(hops), r.place(), statistics.median(hops),
           r.mixed, r.disturbed))
    for name in r.item.runs:
        column = r.column(name)
        if not column:
            print("  %-12s left out: %s" % (name, r.missing.get(name, "no round of this placement has it")))
            continue
        ratios = ["%s %.2f (%.2f..%.2f)" % (other, s["median"], s["low"], s["high"])
                  for (ours, other), s in r.ratios().items() if ours == name]
        print("  %-12s %12s%s" % (name, figure_text(statistics.median(column), r.item.unit),
                                  "   ratio to " + ", ".join(ratios) if ratios else ""))


def as_json(lab, everything, options):
    return {
        "machine": {"system": platform.platform(), "cpus": lab.cpus, "model": cpu_model()},
        "rounds": options.rounds, "milliseconds": options.milliseconds,
        "items": [{
            "name": r.item.name, "unit": r.item.unit, "lower_is_better": r.item.lower_is_better, "place": r.place(),
            "mixed": r.mixed, "disturbed": r.disturbed, "left_out": r.missing, "rounds": r.rounds,
            "medians": {n: statistics.median(r.column(n)) for n in r.item.runs if r.column(n)},
            "ratios": [{"kfx": ours, "to": other, **s} for (ours, other), s in r.ratios().items()],
        } for r in everything]}


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "unknown")


def plots(lab, directory, transports):
    os.makedirs(directory, exist_ok=True)
    for t in transports:
        for what, tests, depth in (("latency", ["send-oneway", "write", "read"], "1"),
                                   ("bandwidth", ["send", "write", "read"], "16")):
            contenders.run([lab.kfx, "perf", "--fork", figures.URI[t], *tests, "--all", "--depth", depth, "--cpu",
                            str(lab.cpus[0]), "--server-cpu", str(lab.cpus[1]), "--time", "200ms", "--plot-what", what,
                            "--plot", os.path.join(directory, "%s-%s.svg" % (t, what))], limit=600)


def main():
    o = arguments()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("peers: two CPUs are needed")
    lab = contenders.Lab(o.build, [int(c) for c in o.cpus.split(",")], o.milliseconds)
    transports = o.transports.split(",")
    everything = [Rounds(i) for i in figures.items(transports) if o.only in i.name]
    if not everything:
        raise SystemExit("peers: no item has “%s” in its name" % o.only)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        measure(lab, everything, o)
    except KeyboardInterrupt:
        print("INTERRUPTED: what follows has fewer rounds than were asked for")
    for r in everything:
        tell(r, o)
    if o.json:
        with open(o.json, "w", encoding="utf-8") as f:
            json.dump(as_json(lab, everything, o), f, indent=1)
    if o.plots:
        plots(lab, o.plots, transports)
    return 0 if all(r.rounds for r in everything) else 1


if __name__ == "__main__":
    sys.exit(main())
