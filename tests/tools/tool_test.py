#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""kfx as its users run it: tool_test.py KFX info|doctor|ping|perf|server|wrong|dead|apart"""
import csv
import io
import json
import os
import pwd
import resource
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

KFX = None
LISTEN = ["tcp://127.0.0.1:0", "shm://*"]
TESTS = ["send-oneway", "notify-oneway", "write8-oneway", "send", "call", "write", "notify", "write8", "read"]


def run(*args, status=0, limit=120, **options):
    done = subprocess.run([KFX, *args], capture_output=True, text=True, timeout=limit, check=False, **options)
    assert done.returncode == status, "kfx %s: status %d\n%s%s" % (" ".join(args), done.returncode, done.stdout,
                                                                  done.stderr)
    return done.stdout if status == 0 else done.stdout + done.stderr


def until(condition, what, limit=60):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "not within %d s: %s" % (limit, what)
        time.sleep(0.005)


class Background:
    """A kfx that prints where it listens, or its first line of a table."""

    def __init__(self, *args, wait="listening ", env=None):
        self.process = subprocess.Popen([KFX, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        self.uri = None
        for line in self.process.stdout:
            if line.startswith(wait):
                self.uri = line.split()[1]
                break
        if self.uri is None:
            raise AssertionError("kfx %s: %s" % (" ".join(args), self.process.stderr.read()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=60)

    def finish(self, limit=60):
        """(status, what it said)"""
        out, err = self.process.communicate(timeout=limit)
        return self.process.returncode, out + err

    def signal(self, which):
        self.process.send_signal(which)


def info():
    told = json.loads(run("info", "--json"))
    names = [b["name"] for b in told["backends"]]
    assert "tcp" in names and "loop" in names, names
    assert all(b["available"] or b["why"] for b in told["backends"])
    assert told["version"] == run("--version").strip()
    assert "partition 0" in told["node"] and told["limits"]["header"] == 4096
    text = run("info")
    for uri in (a["uri"] for a in told["listen"]):
        assert uri in text, (uri, text)
    # What it says can be listened at can be.
    for uri in (a["uri"] for a in told["listen"] if a["this_host_only"] and not a["uri"].startswith("loop")):
        with Background("ping", "--listen", uri) as node:
            run("ping", node.uri, "-c", "1")


def doctor():
    def told(status, **options):
        found = json.loads(run("doctor", "--json", status=status, **options))
        assert found["healthy"] == (status == 0)
        for c in found["checks"]:
            assert c["state"] in ("ok", "warning", "absent") and c["found"], c
            assert c["state"] != "warning" or (c["wrong"] and c["remedy"]), c
        return {c["name"]: c for c in found["checks"]}

    done = subprocess.run([KFX, "doctor", "--json"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 3), done
    here = told(done.returncode)
    assert "tcp" in here["backends"]["found"]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    few = told(3, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard)))
    assert few["open files"]["state"] == "warning" and few["open files"]["remedy"]
    none = told(3, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)))
    # A line for everybody is not for root.
    assert pwd.getpwuid(os.geteuid()).pw_name in none["open files"]["remedy"], none["open files"]
    directories()
    one = told(3, preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}))
    assert one["CPUs"]["state"] == "warning"
    text = run("doctor", status=done.returncode)
    for name in here:
        assert name in text, (name, text)


def directories():
    """Where it says that sockets are, they are; what mends it when they cannot be does."""
    def state(**variables):
        environment = {**os.environ, **variables}
        found = subprocess.run([KFX, "doctor", "--json"], capture_output=True, text=True, timeout=60, check=False,
                               env=environment)
        return next(c for c in json.loads(found.stdout)["checks"] if c["name"] == "socket directory")

    def listening(**variables):
        with Background("ping", "--listen", "shm://*", env={**os.environ, **variables}) as node:
            return os.path.dirname(node.uri[len("shm://"):])

    with tempfile.TemporaryDirectory() as good, tempfile.TemporaryDirectory() as bad:
        for place in (good, "/nonexistent"):
            here = state(XDG_RUNTIME_DIR=place)
            assert here["state"] == "ok" and here["found"].startswith(listening(XDG_RUNTIME_DIR=place) + ":"), here
        os.mkdir(bad + "/kfx")
        os.chmod(bad + "/kfx", 0o755)
        found = state(XDG_RUNTIME_DIR=bad)
        assert found["state"] == "warning" and bad in found["found"], found
        subprocess.run(found["remedy"], shell=True, check=True)
        assert state(XDG_RUNTIME_DIR=bad)["state"] == "ok" and listening(XDG_RUNTIME_DIR=bad) == bad + "/kfx"


def check_ping(told, count, size):
    trip = told["round_trip_us"]
    assert told["count"] == count and told["size"] == size, told
    assert 0 < trip["min"] <= trip["p50"] <= trip["p99"] <= trip["max"] and trip["min"] <= trip["mean"] <= trip["max"]


def ping():
    for listen in LISTEN:
        for command in (["ping", "--listen", listen], ["perf", "--server", "--persist", listen]):
            with Background(*command) as node:
                text = run("ping", node.uri, "-c", "3", "-i", "1ms", "-s", "200")
                assert "over " + listen[:3] in text and len([x for x in text.splitlines() if x[:1].isdigit()]) == 4, text
                assert len(run("ping", node.uri, "-q", "-c", "2", "-i", "0").splitlines()) == 1
                check_ping(json.loads(run("ping", node.uri, "-c", "50", "-i", "0", "--json")), 50, 56)
                node.signal(signal.SIGTERM)
                assert node.finish()[0] == 0
    sessions()
    check_ping(json.loads(run("ping", "loop://here", "-c", "9", "-i", "0", "-s", "1", "--json")), 9, 1)
    # That nobody is there is not an answer.
    for uri in ("tcp://no-such-host.invalid:7400", "kfx://no-such-host.invalid:7400"):
        said = run("ping", uri, "-c", "1", "-W", "10s", status=1)
        assert "no-such-host.invalid" in said, said
    begin = time.monotonic()
    said = run("ping", "tcp://127.0.0.1:1", "-W", "1s", status=1)
    assert "127.0.0.1:1" in said and time.monotonic() - begin < 30, said


def sessions():
    """A service knows no XDG_RUNTIME_DIR, a login session has one: they find each other all the same."""
    service = {k: v for k, v in os.environ.items() if k != "XDG_RUNTIME_DIR"}
    name = "shm://service-%d" % os.getpid()
    with tempfile.TemporaryDirectory() as place:
        session = {**service, "XDG_RUNTIME_DIR": place}
        with Background("ping", "--listen", name, env=service) as node:
            assert place not in node.uri
            assert "over shm" in run("ping", name, "-c", "1", env=session)
            assert node.uri in run("ping", "--listen", name, env=session, status=1)
            node.signal(signal.SIGTERM)
            assert node.finish()[0] == 0
        said = run("ping", name, "-c", "1", "-W", "200ms", env=session, status=1)
        assert "listens there" in said, said


def check_rows(told, tests, sizes, depths, count):
    rows = {(r["test"], r["size"], r["depth"]): r for r in told["results"]}
    wanted = set()
    for t in tests:
        for size in sizes if "write8" not in t else [8]:
            wanted |= {(t, size, d) for d in ([1] if "oneway" in t else depths)}
    assert set(rows) == wanted, (sorted(rows), sorted(wanted))
    for key, r in rows.items():
        times = [r["latency_ns"][q] for q in ("min", "p50", "p90", "p99", "p99.9", "max")]
        assert times == sorted(times) and times[0] > 0 and r["latency_ns"]["mean"] > 0, r
        assert r["ops"] == (2 * count if "oneway" in key[0] else count), r
        assert abs(r["bytes_per_second"] * r["seconds"] / (r["ops"] * r["size"]) - 1) < 1e-6, r
        # As many ops as are under way at once take at least as long as one.
        assert r["seconds"] * 1e9 >= r["latency_ns"]["min"], r


def perf():
    # Few: two sides that poll on a busy machine take turns of some milliseconds at each op.
    sizes, depths, count = [8, 100000], [1, 7], 30
    common = ["--size", ",".join(map(str, sizes)), "--depth", "1,7", "--count", str(count), "--json"]
    for listen in [*LISTEN, "loop://here"]:
        for mode in ("caller", "threads"):
            told = json.loads(run("perf", "--fork", listen, *TESTS, *common, "--progress", mode))
            assert told["progress"] == mode and listen[:3] in told["transport"], told
            check_rows(told, TESTS, sizes, depths, count)
    told = json.loads(run("perf", "--fork", "tcp://127.0.0.1:0", "send", "write", "read", *common, "--memory", "ordinary",
                          "--server-memory", "allocated", "--header", "72", "--server-progress", "threads"))
    assert told["memory"] == {"local": "ordinary", "remote": "allocated"}
    assert all(r["header"] == (72 if r["test"] == "send" else 0) for r in told["results"])
    assert all(r["payload"] == r["size"] for r in told["results"] if r["test"] == "send")
    outputs()


def outputs():
    short = ["--fork", "loop://here", "send", "read", "--size", "8,4KiB,1MiB", "--depth", "1,4", "--time", "5ms"]
    rows = list(csv.DictReader(io.StringIO(run("perf", *short, "--csv"))))
    assert len(rows) == 12 and all(float(r["p50_ns"]) > 0 for r in rows), rows
    assert sorted({r["size"] for r in rows}) == ["1048576", "4096", "8"]
    text = run("perf", *short)
    assert text.count("1 MiB") == 4 and "avg us" in text, text
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "plot.svg")
        for what, label in (("latency", "median latency, us"), ("bandwidth", "GB/s")):
            run("perf", *short, "--plot", path, "--plot-what", what)
            tree = xml.etree.ElementTree.parse(path).getroot()
            texts = [e.text for e in tree.iter("{http://www.w3.org/2000/svg}text")]
            assert label in texts and "size of one op" in texts and "read, depth 4" in texts, texts
            assert len(list(tree.iter("{http://www.w3.org/2000/svg}circle"))) == 12
        # Said before anything is measured.
        begin = time.monotonic()
        for place in path + "/no", folder + "/no/plot.svg":
            assert place in run("perf", "--fork", "loop://here", "send", "--time", "60s", "--plot", place, status=1)
        assert time.monotonic() - begin < 60
    run("perf", "--fork", "loop://here", "write", "--all", "--depth", "1", "--count", "3")


QUICK = ["send", "--size", "8", "--depth", "1", "--count", "50"]


def busy(uri, *args, tests=("send",)):
    """A client in the middle of its measuring, for a minute."""
    return Background("perf", uri, *tests, "--size", "8", "--depth", "1", "--time", "60s", *args, wait="test ")


def server():
    for listen in LISTEN:
        with Background("perf", "--server", listen) as s:  # one client, then it ends
            run("perf", s.uri, *QUICK)
            assert s.finish()[0] == 0
        with Background("perf", "--server", "--persist", listen) as s:
            for _ in range(3):
                run("perf", s.uri, *QUICK)
            with busy(s.uri):
                assert "somebody else" in run("perf", s.uri, *QUICK, status=1)
            # The first one was killed: the server is there for others again.
            until(lambda: subprocess.run([KFX, "perf", s.uri, *QUICK], capture_output=True, timeout=60,
                                         check=False).returncode == 0, "a client is served again")
            s.signal(signal.SIGTERM)
            assert s.finish()[0] == 0


def printable(text):
    return text.replace("\n", "").isprintable()


def wrong():
    usage = [[], ["frobnicate"], ["perf"], ["ping"], ["perf", "loop://x", "frobnicate"], ["perf", "loop://x", "--size", "0"],
             ["perf", "loop://x", "--size", "many"], ["perf", "loop://x", "--size", "2GiB"],
             ["perf", "loop://x", "send", "--header", "5000"], ["perf", "loop://x", "--depth", "0"],
             ["perf", "loop://x", "--json", "--csv"], ["perf", "loop://x", "--fork", "--server"],
             ["perf", "loop://x", "--time", "1fortnight"], ["perf", "loop://x", "--persist"],
             ["perf", "loop://x", "--time", "1s", "--count", "5"], ["perf", "loop://x", "--progress", "magic"],
             ["ping", "loop://x", "-c", "0"], ["ping", "loop://x", "-s", "300"], ["ping", "loop://x", "-i", "-1"]]
    for args in usage:
        said = run(*args, status=2)
        assert len(said.strip()) > 10 and printable(said), (args, said)
    for command in [], ["info"], ["doctor"], ["ping"], ["perf"]:
        assert printable(run(*command, "--help")), command
    assert "frobnicate" in run("perf", "loop://x", "frobnicate", status=2)
    assert "allocated" in run("perf", "loop://x", "--memory", "borrowed", status=2)
    with Background("ping", "--listen", "tcp://127.0.0.1:0") as node:
        sentences = [(["ping", "carrier-pigeon://x"], "carrier-pigeon"), (["ping", "nonsense"], "nonsense"),
                     (["perf", "--server", node.uri], node.uri[6:]), (["perf", "--fork", node.uri], node.uri[6:]),
                     (["perf", "--fork", "loop://x", "--cpu", "99999"], "99999"),
                     (["perf", "--fork", "tcp://127.0.0.1:0", "--server-cpu", "99999"], "99999"),
                     (["perf", node.uri], "kfx perf --server"), (["perf", "loop://nobody", "--timeout", "1s"], "nobody")]
        for args, word in sentences:
            said = run(*args, status=1)
            assert word in said and said.startswith("kfx: "), (args, said)


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def dead():
    for listen in LISTEN:
        for tests in (["send"], ["send-oneway"], ["write8-oneway"]):
            for how in (signal.SIGKILL, signal.SIGSTOP):
                with Background("perf", "--server", listen) as s, busy(s.uri, "--timeout", "1s", tests=tests) as client:
                    s.signal(how)
                    status, said = client.finish(30)
                    assert status == 1 and "kfx: " in said, (listen, tests, how, status, said)
        with Background("perf", "--server", listen) as s, busy(s.uri) as client:
            client.signal(signal.SIGKILL)
            status, said = s.finish(60)
            assert status == 1 and "client went away" in said, (status, said)
        with Background("perf", "--fork", listen, "send", "--size", "8", "--time", "60s", wait="test ") as own:
            with open("/proc/%d/task/%d/children" % (own.process.pid, own.process.pid), encoding="ascii") as f:
                children = [int(pid) for pid in f.read().split()]
            assert children
            own.signal(signal.SIGKILL)
            own.finish()
            until(lambda: not any(alive(c) for c in children), "the server that it forked ends with it")


def apart():
    """As in containers: what cannot be seen from there is gone around, and said."""
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$1" && shift && exec "$@"', "sh"]
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_RUNTIME_DIR"] = place
        if subprocess.run([*hidden, place, "true"], capture_output=True, check=False).returncode != 0:
            print("needs the right to mount in a namespace of its own (CAP_SYS_ADMIN)")
            sys.exit(77)
        with Background("ping", "--listen", "kfx://127.0.0.1:0") as node:
            assert "over shm" in run("ping", node.uri, "-c", "1")
            far = subprocess.run([*hidden, place, KFX, "ping", node.uri, "-c", "1"], capture_output=True, text=True,
                                 timeout=60, check=False)
            said = far.stdout + far.stderr
            assert far.returncode == 0 and "over tcp" in said, said
            assert "shm (cannot connect to shm://" in said and "No such file or directory" in said, said
            pid = [*hidden[:1], "--pid", "--fork", KFX, "ping", node.uri, "-c", "1"]
            far = subprocess.run(pid, capture_output=True, text=True, timeout=60, check=False)
            said = far.stdout + far.stderr
            assert far.returncode == 0 and "over shm" in said and "pid namespace" in said, said


PARTS = {"info": info, "doctor": doctor, "ping": ping, "perf": perf, "server": server, "wrong": wrong, "dead": dead, "apart": apart}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[2] not in PARTS:
        sys.exit(__doc__)
    KFX = sys.argv[1]
    PARTS[sys.argv[2]]()
