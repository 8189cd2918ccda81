#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Whether kfx became slower: check.py RESULT.json [--baseline FILE] [--update]

RESULT.json is what `bench/peers.sh … --json` wrote. A ratio counts as worse when even the favourable end of its 95 %
interval is more than 15 % worse than the baseline's median at the same placement of the CPUs (near or far). What one of
the two has no figure for is named. Status: 0 fine, 1 worse, 2 nothing could be compared.
"""
import argparse
import json
import os
import sys

TOLERANCE = 0.15


def ratios(result):
    """(item, kfx's test, to whom, placement) → (summary, lower is better)."""
    return {(i["name"], r["kfx"], r["to"], i["place"]): (r, i["lower_is_better"]) for i in result["items"] for r in
            i["ratios"]}


def worse(now, then, lower_is_better):
    """By how much it is worse for sure: 0.2 means 20 %; below 0, better or nobody knows."""
    if lower_is_better:
        return now["low"] / then["median"] - 1
    return then["median"] / now["high"] - 1


def compare(result, baseline):
    """(lines, worse ones, compared ones)"""
    lines, bad, compared = [], 0, 0
    known = {tuple(e["key"]): e for e in baseline["ratios"]}
    for key, (now, lower) in ratios(result).items():
        then = known.get(key)
        if not then:
            lines.append("no baseline   %s, %s to %s, %s" % key)
            continue
        compared += 1
        by = worse(now, then, lower)
        if by > TOLERANCE:
            bad += 1
            lines.append("WORSE by at least %.0f %%   %s, %s to %s, %s: %.2f (%.2f..%.2f), was %.2f" %
                         (by * 100, *key, now["median"], now["low"], now["high"], then["median"]))
    return lines, bad, compared


def merged(result, baseline):
    """The baseline with this result's ratios in place of the old ones of the same key."""
    known = {tuple(e["key"]): e for e in baseline["ratios"]}
    for key, (now, _) in ratios(result).items():
        known[key] = {"key": list(key), "median": round(now["median"], 4), "low": round(now["low"], 4),
                      "high": round(now["high"], 4), "rounds": now["rounds"]}
    return {"ratios": [known[k] for k in sorted(known)]}


def read(path):
    try:
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError) as e:
        print("check: %s cannot be read: %s" % (path, e), file=sys.stderr)
        sys.exit(2)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("result")
    p.add_argument("--baseline", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "baseline.json"))
    p.add_argument("--update", action="store_true", help="make this result the baseline of what it measured")
    o = p.parse_args()
    result = read(o.result)
    baseline = read(o.baseline) if os.path.exists(o.baseline) else {"ratios": []}
    if o.update:
        text = json.dumps(merged(result, baseline), indent=1)
        with open(o.baseline, "w", encoding="utf-8") as f:
            f.write(text + "\n")
        return 0
    lines, bad, compared = compare(result, baseline)
    print("\n".join(lines))
    print("%d ratios compared, %d worse by more than %.0f %%" % (compared, bad, TOLERANCE * 100))
    return 1 if bad else 0 if compared else 2


if __name__ == "__main__":
    sys.exit(main())
