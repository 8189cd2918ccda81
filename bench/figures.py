# SPDX-License-Identifier: BSD-2-Clause
"""What is compared with what: one item is one figure of kfx and the same figure of everybody else."""
import contenders as c

KIB = 1024
BULK = (4 * KIB, 64 * KIB, KIB * KIB)
URI = {"shm": "shm://*", "tcp": "tcp://127.0.0.1:0"}
# What one op takes about, in us: how many there are in a run that is neither short nor endless.
COST = {"shm": {8: 0.3, 4 * KIB: 0.6, 64 * KIB: 6, KIB * KIB: 90}, "tcp": {8: 6, 4 * KIB: 8, 64 * KIB: 40, KIB * KIB: 400}}


class Item:
    """`runs`: name → function of a Lab that gives the figure; those called kfx… are set against each other one."""

    def __init__(self, name, unit, lower_is_better, runs):
        self.name, self.unit, self.lower_is_better, self.runs = name, unit, lower_is_better, runs


def size_text(n):
    return "%d MiB" % (n // KIB // KIB) if n >= KIB * KIB else "%d KiB" % (n // KIB) if n >= KIB else "%d B" % n


def median_of(row):
    return row["latency_ns"]["p50"]


def one_way(t, size):
    uri, cost = URI[t], COST[t][size]
    runs = {"kfx send": lambda l: median_of(c.kfx(l, uri, "send-oneway", size))}
    if size == 8:
        runs["kfx write8"] = lambda l: median_of(c.kfx(l, uri, "write8-oneway", size))
        runs["machine"] = lambda l: c.reference(l, "ring" if t == "shm" else "tcp")["one_way_ns"]
    runs["UCX am"] = lambda l: c.ucx(l, t, "ucp_am_lat", size, 2 * cost)["latency_ns"]
    runs["UCX tag"] = lambda l: c.ucx(l, t, "tag_lat", size, 2 * cost)["latency_ns"]
    runs["UCX put"] = lambda l: c.ucx(l, t, "ucp_put_lat", size, 2 * cost)["latency_ns"]
    runs["libfabric"] = lambda l: c.libfabric(l, t, size, 2 * cost)["mean_ns"]
    return Item("%s %s one way" % (t, size_text(size)), "ns", True, runs)


def token(t):
    """A header of 72 bytes, and 40 that the receiver places: what a storage request takes."""
    uri, size = URI[t], 112
    extra = ("--header", "72")
    runs = {"kfx send": lambda l: median_of(c.kfx(l, uri, "send-oneway", 40, extra=extra)),
            "its 8 B": lambda l: median_of(c.kfx(l, uri, "send-oneway", 8)),
            "machine": lambda l: c.reference(l, "ring")["three_lines_one_way_ns"],
            "UCX am": lambda l: c.ucx(l, t, "ucp_am_lat", size, 2 * COST[t][8])["latency_ns"],
            "libfabric": lambda l: c.libfabric(l, t, size, 2 * COST[t][8])["mean_ns"]}
    return Item("%s 72 B + 40 B one way" % t, "ns", True, runs)


def completion(t):
    uri = URI[t]
    runs = {"kfx " + test: lambda l, test=test: median_of(c.kfx(l, uri, test, 8)) for test in ("send", "write", "read")}
    runs["machine"] = lambda l: c.reference(l, "ring" if t == "shm" else "tcp")["round_trip_ns"]
    runs["UCX get"] = lambda l: c.ucx(l, t, "ucp_get", 8, 4 * COST[t][8], window=1)["mean_ns"]
    return Item("%s 8 B submit to completion" % t, "ns", True, runs)


def rate(t):
    uri, cost = URI[t], COST[t][8] / 3
    runs = {"kfx " + test: lambda l, test=test: c.kfx(l, uri, test, 8, 512)["ops_per_second"]
            for test in ("send", "write", "read")}
    if t == "shm":
        runs["machine"] = lambda l: c.reference(l, "ring")["messages_per_second"]
    else:
        runs["machine"] = lambda l: c.reference(l, "tcp")["gathered_64_byte_records_per_second"]
    for name, test in (("am", "ucp_am_bw"), ("tag", "tag_bw"), ("put", "ucp_put_bw")):
        runs["UCX " + name] = lambda l, test=test: c.ucx(l, t, test, 8, cost)["ops_per_second"]
    return Item("%s 8 B rate" % t, "op/s", False, runs)


def bandwidth(t, verb, size, memory):
    uri, cost = URI[t], COST[t][size]
    # The peers' benchmarks go over one place again and again: so does this.
    place = ("--footprint", str(size))
    runs = {"kfx " + verb: lambda l: c.kfx(l, uri, verb, size, 16, memory, place)["bytes_per_second"]}
    if t == "tcp":
        runs["machine"] = lambda l: c.reference(l, "tcp")["%s_%d_bytes_per_second" % (verb, size)]
    else:
        runs["machine"] = lambda l: c.reference(l, "memcpy")["%d_bytes_per_second" % size]
        if memory == "ordinary":
            runs["process_vm"] = lambda l: c.reference(l, "process_vm")["%d_bytes_per_second" % size]
    test = "ucp_put_bw" if verb == "write" else "ucp_get"
    ordinary = t == "shm" and memory == "ordinary"
    runs["UCX " + test[4:7]] = lambda l: c.ucx(l, t, test, size, cost, ordinary=ordinary)["bytes_per_second"]
    return Item("%s %s %s, %s" % (t, size_text(size), verb, memory), "B/s", False, runs)


def items(transports):
    """In the order they are measured and told."""
    out = []
    for t in transports:
        out += [one_way(t, size) for size in (8, *BULK)] + [completion(t), rate(t)]
        if t == "shm":
            out.append(token(t))
        out += [bandwidth(t, "write", size, memory) for memory in ("allocated", "ordinary") for size in BULK]
        out += [bandwidth(t, "read", size, "allocated") for size in BULK]
    return out
