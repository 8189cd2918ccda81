# SPDX-License-Identifier: BSD-2-Clause
"""Runs kfx, its peers' own benchmarks and the bare references, each for one figure in SI units."""
import json
import os
import shutil
import socket
import subprocess
import time


class Missing(Exception):
    """A program is not here, or cannot do this: left out, never made up."""


class Lab:
    """Where things are, and for how long each figure is measured."""

    def __init__(self, build, cpus, milliseconds):
        self.kfx = os.path.join(build, "tools/kfx/kfx")
        self.reference_program = os.path.join(build, "bench/kfx-reference")
        for program in (self.kfx, self.reference_program):
            if not os.access(program, os.X_OK):
                raise SystemExit("peers: there is no %s; build it: ninja -C %s" % (program, build))
        self.cpus = cpus
        self.milliseconds = milliseconds

    def count(self, estimate_us):
        """Iterations that take about as long as wanted."""
        return max(100, int(self.milliseconds * 1000 / estimate_us))


def need(program):
    if not shutil.which(program):
        raise Missing(program + " is not installed")


def run(command, env=None, limit=60):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env={**os.environ, **(env or {})},
                              check=False)
    except subprocess.TimeoutExpired as e:
        raise Missing("%s did not end within %d s" % (command[0], limit)) from e
    if done.returncode != 0:
        raise Missing("%s: status %d: %s" % (command[0], done.returncode, done.stderr.strip()[-300:]))
    return done.stdout


def reference(lab, test):
    """All figures of one test of kfx-reference."""
    out = run([lab.reference_program, test, str(lab.cpus[0]), str(lab.cpus[1]), str(lab.milliseconds)])
    return json.loads(out)[test]


def kfx(lab, uri, test, size, depth=1, memory="allocated", extra=()):
    """The row that `kfx perf` has for it."""
    out = run([lab.kfx, "perf", "--fork", uri, test, "--json", "--size", str(size), "--depth", str(depth), "--memory",
               memory, "--cpu", str(lab.cpus[0]), "--server-cpu", str(lab.cpus[1]), "--time",
               "%dms" % lab.milliseconds, *extra])
    return json.loads(out)["results"][0]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_listening(port, server, limit=10):
    """Connecting to see would be taken for the client."""
    wanted = ":%04X" % port
    end = time.monotonic() + limit
    while time.monotonic() < end:
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            with open(table, encoding="ascii") as f:
                if any(line.split()[1].endswith(wanted) and line.split()[3] == "0A" for line in f.readlines()[1:]):
                    return
        if server.poll() is not None:
            raise Missing("%s: its server ended with status %d" % (server.args[0], server.returncode))
        time.sleep(0.002)
    raise Missing("%s: its server does not listen" % server.args[0])


def with_server(server_command, client_command, port, env=None):
    """The client's output; the server ends whatever happens."""
    full = {**os.environ, **(env or {})}
    with subprocess.Popen(server_command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=full) as server:
        try:
            wait_listening(port, server)
            out = run(client_command, env, 30)
            server.wait(5)
            return out
        except subprocess.TimeoutExpired as e:
            raise Missing("%s: its server does not end" % server_command[0]) from e
        finally:
            server.kill()


UCX_TLS = {"shm": "posix,self", "tcp": "tcp,self"}


def ucx(lab, transport, test, size, estimate_us, window=0, ordinary=False):
    """One-way latency in ns (of latency tests; of `get` with a window of 1: the whole), ops a second."""
    need("ucx_perftest")
    port = free_port()
    env = {"UCX_TLS": UCX_TLS[transport], "UCX_WARN_UNUSED_ENV_VARS": "n"}
    if transport == "tcp":
        env["UCX_NET_DEVICES"] = "lo"
        if size >= 65536:  # its best
            env.update(UCX_TCP_TX_SEG_SIZE="256k", UCX_TCP_RX_SEG_SIZE="256k")
    if ordinary:
        env.update(UCX_TLS="posix,cma,self", UCX_ALLOC_PRIO="heap")
    n = lab.count(estimate_us)
    server = ["ucx_perftest", "-p", str(port), "-c", str(lab.cpus[1])]
    client = ["ucx_perftest", "127.0.0.1", "-p", str(port), "-c", str(lab.cpus[0]), "-t", test, "-s", str(size), "-n",
              str(n), "-w", str(max(10, n // 10)), "-v", "-f"]
    if window:
        client += ["-O", str(window)]
    lines = with_server(server, client, port, env).strip().splitlines()
    values = dict(zip(lines[-2].split(","), map(float, lines[-1].split(","))))
    return {"latency_ns": values["50.0_percentile_lat"] * 1000, "mean_ns": values["overall_lat"] * 1000,
            "ops_per_second": values["overall_mr"], "bytes_per_second": values["overall_mr"] * size}


def libfabric(lab, transport, size, estimate_us):
    """Mean one-way latency in ns: fi_pingpong knows no percentiles."""
    need("fi_pingpong")
    port = free_port()
    common = ["-p", transport, "-e", "rdm" if transport == "shm" else "msg", "-I", str(lab.count(2 * estimate_us)), "-S",
              str(size)]
    server = ["taskset", "-c", str(lab.cpus[1]), "fi_pingpong", *common, "-B", str(port)]
    client = ["taskset", "-c", str(lab.cpus[0]), "fi_pingpong", *common, "-P", str(port), "127.0.0.1"]
    lines = with_server(server, client, port).strip().splitlines()
    return {"mean_ns": float(lines[-1].split()[6]) * 1000}
