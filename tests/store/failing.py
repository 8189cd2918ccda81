#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What users see of kfx-store when something fails: failing.py KFX_STORE tell|wait|abandon"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # the source tree stays as it is
import end_to_end
from end_to_end import MIB, SCHEMES, Server, main, parts, run, until, write


def sentence_of(*args):
    """What a failure says: one line, named."""
    _, err = run(*args, ok=False)
    line = err.splitlines()[0]
    assert line.startswith("kfx-store: ") and err.count("\n") == 1, err
    return line[len("kfx-store: "):]


def test_tell(work, rng):
    served = os.path.join(work, "served")
    os.makedirs(os.path.join(served, "full/d"))
    mine = os.path.join(work, "mine")
    write(mine, b"mine")
    for scheme in SCHEMES:
        with Server(served, scheme) as server:
            tell_remote(server.uri, mine, work)
            tell_local(server.uri, mine, work)
            tell_json(server.uri, mine, work)
    tell_unreachable(mine, work)
    out, _ = run("--help-all")
    for option, default in [("--grace", 15), ("--timeout", 30), ("--threads", r"\d+")]:
        lines = [line for line in out.decode().splitlines() if option in line]
        # "=15", or "[15]" as later versions of CLI11 write it.
        assert lines and all(re.search(r"(=|\[)%s(\]|\s|$)" % default, line) for line in lines), (option, lines)


def tell_remote(uri, mine, work):
    """The server's refusals name the verb, the user's path, the server, and why."""
    got = os.path.join(work, "got")
    missing = "%s nope %s %s: No such file or directory"
    assert sentence_of("ls", "--at", uri, "nope") == missing % ("ls", "at", uri)
    assert sentence_of("stat", "--at", uri, "nope") == missing % ("stat", "at", uri)
    assert sentence_of("rm", "--at", uri, "nope") == missing % ("rm", "at", uri)
    assert sentence_of("get", "-r", "--from", uri, "nope", got) == missing % ("get", "from", uri)
    assert sentence_of("get", "--from", uri, "nope", got) == missing % ("get", "from", uri)
    said = sentence_of("rm", "--at", uri, "full")
    assert said.startswith("rm full at %s: Directory not empty" % uri) and "-r" in said, said
    said = sentence_of("get", "--from", uri, "full", got)
    assert said.startswith("get full from %s: Is a directory" % uri) and "-r" in said, said
    said = sentence_of("put", "--to", uri, mine, "../out")
    assert said == "put ../out to %s: Operation not permitted" % uri, said


def tell_local(uri, mine, work):
    """What failed here names the path here, and not the server."""
    cases = [("put", "--to", uri, os.path.join(work, "none"), "x"),
             ("put", "--to", uri, work, "x"),
             ("get", "-r", "--from", uri, "full", os.path.join(mine, "below")),
             ("get", "-r", "--from", uri, "full", mine)]
    secret = os.path.join(work, "secret")
    write(secret, b"secret", 0o000)
    if os.geteuid() != 0:
        cases.append(("put", "--to", uri, secret, "x"))
    for case in cases:
        said = sentence_of(*case)
        path = case[-1] if case[0] == "get" else case[-2]
        assert said.startswith(case[0] + ": cannot ") and path in said, said
        assert uri not in said and uri.split("/")[2] not in said, said
    os.remove(secret)


def tell_json(uri, mine, work):
    """Scripts that read stdout find the failure there."""
    for verb in ["ls", "stat", "rm"]:
        out, err = run(verb, "--json", "--at", uri, "nope", ok=False)
        said = json.loads(out)
        assert said["path"] == "nope" and err == "kfx-store: %s\n" % said["error"], said
        assert said["error"] == "%s nope at %s: No such file or directory" % (verb, uri), said
    for case, path in [(("get", "--from", uri, "nope", os.path.join(work, "x")), "nope"),
                       (("get", "--from", uri, "full", mine), "full"),
                       (("put", "--to", uri, os.path.join(work, "none"), "x"), os.path.join(work, "none")),
                       (("get", "-r", "--from", uri, "full", mine), mine),
                       (("put", "--to", uri, mine, "../out"), "../out")]:
        out, err = run(*case, "--json", ok=False)
        said = json.loads(out)
        assert said["path"] == path and err == "kfx-store: %s\n" % said["error"], said
        assert said["failed"] == 1 and said["failures"] == [{"path": path, "error": said["error"]}], said
    run("put", "--to", uri, mine, "gone")
    out, _ = run("rm", "--json", "--at", uri, "gone")
    assert json.loads(out) == {"path": "gone", "removed": True}, out


def tell_unreachable(mine, work):
    """Nobody listens: the cause is told."""
    uri = "tcp://127.0.0.1:1?limit=1s"
    for case in [("ls", "--at", uri, "path"), ("stat", "--at", uri, "path"), ("rm", "--at", uri, "path"),
                 ("get", "--from", uri, "path", os.path.join(work, "x")), ("put", "--to", uri, mine, "path")]:
        said = sentence_of(*case)
        assert said.startswith(case[0] + " path: ") and "127.0.0.1:1" in said and "Connection refused" in said, said

def test_wait(work, rng):
    wait_for_nobody()
    for verb in ["get", "put"]:
        lose_the_server(work, verb, rng)


def wait_for_nobody():
    """A person sees that it waits, and for what, long before it gives up."""
    process = subprocess.Popen([end_to_end.STORE, "ls", "--at", "tcp://127.0.0.1:1", "--timeout", "6"],
                               stderr=subprocess.PIPE, text=True)
    said = process.stderr.readline()
    assert process.poll() is None, said
    assert said.startswith("kfx-store: waiting for tcp://127.0.0.1:1") and "Connection refused" in said, said
    assert "gives up after 6 s" in said, said
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 1 and rest.startswith("kfx-store: ls .: ") and rest.count("\n") == 1, rest


def lose_the_server(work, verb, rng):
    """One wait for a server that is gone, not one after the other."""
    limit = 5
    source, copy = os.path.join(work, "source"), os.path.join(work, "copy-" + verb)
    if not os.path.isdir(source):
        os.mkdir(source)
        for i in range(8):
            write(os.path.join(source, "f%d" % i), rng.randbytes(MIB) * 64)
    for _ in range(30):
        shutil.rmtree(copy, ignore_errors=True)
        os.mkdir(copy)
        server = Server(source if verb == "get" else copy)
        where = [".", copy] if verb == "get" else [source, "."]
        process = subprocess.Popen([end_to_end.STORE, verb, "-r", "--server", server.uri, "--timeout", str(limit), *where],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        until(lambda: parts(copy) or process.poll() is not None, "the transfer begins")
        server.kill()
        began = time.monotonic()
        _, err = process.communicate(timeout=120)
        if process.returncode == 1:
            assert err.count("waiting for " + server.uri) == 1, err
            # It took five waits for files that were begun, and two at least.
            assert time.monotonic() - began < 2 * limit, "gave up after %.1f s" % (time.monotonic() - began)
            return
    raise AssertionError("no transfer was interrupted")

def test_abandon(work, rng):
    """Nothing stays of a client that was killed while it sent."""
    source = os.path.join(work, "source")
    os.mkdir(source)
    for i in range(4):
        write(os.path.join(source, "f%d" % i), rng.randbytes(MIB) * 128)
    for scheme in SCHEMES:
        with Server(made(work, "a-" + scheme), scheme, ["--grace", "1"]) as server:
            kill_sender(server, source)
            # Well before kfx would give up what the server was fetching from it.
            until(lambda: not parts(server.directory), "the grace is over", limit=15)
        for again in [["-r", source, "t"], [os.path.join(source, "f0"), "t/f0"]]:
            with Server(made(work, "b-" + scheme), scheme, ["--grace", "3600"]) as server:
                before = kill_sender(server, source)
                run("put", "--to", server.uri, *again)
                left = 0 if again[0] == "-r" else before - 1
                until(lambda: len(parts(server.directory)) <= left, "what is sent again is removed", limit=15)
                shutil.rmtree(server.directory)


def made(work, name):
    os.mkdir(os.path.join(work, name))
    return os.path.join(work, name)


def kill_sender(server, source):
    """Leaves unfinished uploads of all four files. How many."""
    for _ in range(30):
        process = subprocess.Popen([end_to_end.STORE, "put", "-r", "--to", server.uri, source, "t"],
                                   stdout=subprocess.DEVNULL)
        until(lambda: len(parts(server.directory)) == 4 or process.poll() is not None, "the transfer begins")
        process.send_signal(signal.SIGSTOP)  # its chunks stay under way
        process.kill()
        process.wait(60)
        if len(parts(server.directory)) == 4:
            return 4
        run("rm", "-r", "--at", server.uri, "t", ok=None)
    raise AssertionError("no transfer was interrupted")


if __name__ == "__main__":
    main(globals())
