#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""kfx-store as its users run it: end_to_end.py KFX_STORE transfer|interrupt|full|refuse

Exit status 77 means skipped, with the reason printed.
"""
import json
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

STORE = None
SCHEMES = os.environ.get("KFX_STORE_SCHEMES", "tcp kfx").split()
MIB = 1 << 20


def until(condition, what, limit=60):
    """Waits for a condition of the file system or a process, which nothing here can be told of."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("not within %d s: %s" % (limit, what))
        time.sleep(0.002)


class Server:
    def __init__(self, directory, scheme="tcp", args=(), descriptors=None):
        def limit():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        command = [STORE, "serve", directory, "--listen", scheme + "://127.0.0.1:0", *args]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=limit)
        self.directory = directory
        self.addresses = []
        for line in self.process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "ready":
                break
            if word == "listening":
                self.addresses.append(rest)
        assert self.addresses, "the server did not start"
        self.uri = self.addresses[0]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is not None and kind is None:
            raise AssertionError("the server died: %s" % self.process.returncode)
        self.process.terminate()
        status = self.process.wait(60)
        if kind is None:
            assert status == 0, "the server ended with %s" % status

    def kill(self):
        self.process.kill()
        self.process.wait(60)


def run(*args, ok=True, timeout=120):
    done = subprocess.run([STORE, *args], capture_output=True, timeout=timeout)
    err = done.stderr.decode(errors="replace")
    if ok is not None and (done.returncode == 0) != ok:
        raise AssertionError("%s: status %d\n%s" % (args, done.returncode, err))
    assert done.returncode >= 0, "%s: killed by signal %d" % (args, -done.returncode)
    return done.stdout, err


def listing(top):
    """Everything a copy must keep: path -> (type, mode, mtime, link target or size)."""
    found = {}
    for directory, names, files in os.walk(os.fsencode(top)):
        for name in [b"."] + names + files:
            path = os.path.join(directory, name)
            st = os.lstat(path)
            key = os.path.normpath(os.path.relpath(path, os.fsencode(top)))
            what = os.readlink(path) if stat.S_ISLNK(st.st_mode) else st.st_size if stat.S_ISREG(st.st_mode) else None
            found[key] = (stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), st.st_mtime_ns, what)
    return found


def content(path):
    with open(path, "rb") as f:
        return f.read()


def same_bytes(a, b):
    with open(a, "rb") as fa, open(b, "rb") as fb:
        while True:
            pa, pb = fa.read(MIB), fb.read(MIB)
            if pa != pb:
                return False
            if not pa:
                return True


def compare(source, copy):
    a, b = listing(source), listing(copy)
    assert a.keys() == b.keys(), "names differ: %s" % sorted(a.keys() ^ b.keys())[:10]
    for name in a:
        assert a[name] == b[name], "%r: %s became %s" % (name, a[name], b[name])
        if a[name][0] == stat.S_IFREG:
            pair = [os.path.join(os.fsencode(top), name) for top in (source, copy)]
            assert same_bytes(*pair), "%r: content differs" % name


def parts(top):
    return [os.path.join(d, f) for d, _, files in os.walk(top) for f in files if f.startswith(".kfx-part.")]


def write(path, data, mode=None, mtime=None):
    with open(path, "wb") as f:
        f.write(data)
    if mode is not None:
        os.chmod(path, mode)
    if mtime is not None:
        os.utime(path, ns=(mtime, mtime), follow_symlinks=False)


def nasty_tree(top, rng):
    """Names, sizes, modes, times, links and holes that copies get wrong."""
    os.mkdir(top)
    t = os.fsencode(top)
    for name in [b"with space", b"new\nline", "ä€😀".encode(), b"\xff\xfe not utf-8", b"-rf", b"x" * 255, b"back\\slash", b'"quote"']:
        write(os.path.join(t, name), name * 3, mtime=rng.randrange(1, 2_000_000_000) * 10**9 + rng.randrange(10**9))
    for size in [0, 1, 4095, 4096, 4097, 128 * 1024, 128 * 1024 + 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 3]:
        write(os.path.join(top, "size-%d" % size), rng.randbytes(size))
    for mode in [0o000, 0o400, 0o444, 0o600, 0o755, 0o1777]:
        write(os.path.join(top, "mode-%o" % mode), b"mode", mode)
    for target in ["size-1", "missing", "/etc/passwd", "../..", "with space", "t" * 1000]:
        os.symlink(target, os.path.join(top, "link-%s" % target[:9].replace("/", "_")))
    deep = os.path.join(top, "deep")
    for i in range(30):
        os.mkdir(deep)
        write(os.path.join(deep, "f"), b"%d" % i)
        deep = os.path.join(deep, "d%d" % i)
    os.mkdir(os.path.join(top, "empty"))
    os.mkdir(os.path.join(top, "many"))
    for i in range(3000):
        write(os.path.join(top, "many", "f%04d" % i), rng.randbytes(rng.randrange(2000)), 0o640)
    sparse(os.path.join(top, "sparse-large"), 3 << 30, [0, 1 << 30, (3 << 30) - 5])
    sparse(os.path.join(top, "sparse-small"), 100_000, [50_000])
    sparse(os.path.join(top, "sparse-empty"), 77 * MIB, [])
    sparse(os.path.join(top, "sparse-comb"), 4 * MIB * 600, [i * 4 * MIB for i in range(600)])
    os.mkdir(os.path.join(top, "closed"))
    write(os.path.join(top, "closed", "f"), b"in a read-only directory")
    os.utime(os.path.join(top, "closed"), ns=(10**18 + 7, 10**18 + 7))
    os.chmod(os.path.join(top, "closed"), 0o555)
    os.utime(top, ns=(10**18 + 9, 10**18 + 9))


def sparse(path, size, at):
    with open(path, "wb") as f:
        f.truncate(size)
        for offset in at:
            f.seek(offset)
            f.write(b"data!"[: size - offset])


def blocks(top, name):
    return os.stat(os.path.join(top, name)).st_blocks * 512


def holes_kept(source, copy):
    for name in ["sparse-large", "sparse-empty", "sparse-comb"]:
        assert blocks(copy, name) <= 2 * blocks(source, name) + MIB, "%s: the holes were filled" % name


def open_up(top):
    subprocess.run(["chmod", "-R", "u+rwX", top], check=False)


def test_transfer(work, rng):
    source = os.path.join(work, "source")
    nasty_tree(source, rng)
    for scheme in SCHEMES:
        served, got = os.path.join(work, "served-" + scheme), os.path.join(work, "got-" + scheme)
        os.mkdir(served)
        with Server(served, scheme) as server:
            out, _ = run("put", "-r", "--json", "--to", server.uri, source, "a/tree")
            told = json.loads(out)
            assert told["files"] > 3000 and told["failed"] == 0 and told["explain"], told
            compare(source, os.path.join(served, "a/tree"))
            holes_kept(source, os.path.join(served, "a/tree"))
            out, _ = run("get", "-r", "--json", "--from", server.uri, "a/tree", got)
            assert json.loads(out)["bytes"] == told["bytes"], (out, told)
            compare(source, got)
            holes_kept(source, got)
            # Once more over what is there, each file made durable by itself.
            run("get", "-r", "--fsync", "--from", server.uri, "./a//tree/", got)
            compare(source, got)
            run("put", "-r", "--to", server.uri, source, "a/tree")
            compare(source, os.path.join(served, "a/tree"))
            single_verbs(work, server, source)
            run("rm", "-r", "--at", server.uri, "a")
            assert os.listdir(served) == [], os.listdir(served)
        open_up(got)
        shutil.rmtree(got)


def single_verbs(work, server, source):
    one = os.path.join(work, "one")
    for name in ["size-0", "size-4097", "size-%d" % (5 * MIB + 3), "sparse-small", "with space"]:
        run("put", "--to", server.uri, os.path.join(source, name), "dir/" + name)
        run("get", "--from", server.uri, "dir/" + name, one)
        assert same_bytes(os.path.join(source, name), one), name
        assert os.stat(one).st_mtime_ns == os.stat(os.path.join(source, name)).st_mtime_ns
    os.remove(one)
    run("put", "--to", server.uri, os.path.join(source, "link-missing"), "dir/link")
    run("get", "--from", server.uri, "dir/link", one)
    assert os.readlink(one) == "missing"
    os.remove(one)
    out, _ = run("ls", "--json", "--at", server.uri, "dir")
    names = sorted(json.loads(line)["path"] for line in out.splitlines())
    assert names == sorted("dir/" + n for n in ["link", "size-0", "size-4097", "size-%d" % (5 * MIB + 3), "sparse-small", "with space"]), names
    out, _ = run("ls", "-r", "--at", server.uri)
    assert out.count(b"\n") > 3000
    out, _ = run("stat", "--json", "--at", server.uri, "dir/size-4097")
    assert json.loads(out)["size"] == 4097
    _, err = run("rm", "--at", server.uri, "dir", ok=False)
    assert "not empty" in err, err
    _, err = run("get", "--from", server.uri, "dir/nothing", one, ok=False)
    assert "No such file" in err and server.uri in err, err
    _, err = run("get", "--from", server.uri, "dir", one, ok=False)
    assert "-r" in err, err
    run("rm", "--at", server.uri, "dir/size-0")
    run("rm", "-r", "--at", server.uri, "dir")


def big_tree(top, rng):
    os.mkdir(top)
    for i in range(40):
        directory = os.path.join(top, "d%d" % i)
        os.mkdir(directory)
        for k in range(50):
            write(os.path.join(directory, "f%d" % k), rng.randbytes(5000))
    for i in range(4):
        write(os.path.join(top, "large%d" % i), rng.randbytes(48 * MIB))


def whole_or_absent(source, copy):
    """Every name that is there has all of its content."""
    for directory, _, files in os.walk(copy):
        for f in files:
            if f.startswith(".kfx-part."):
                continue
            path = os.path.join(directory, f)
            assert same_bytes(os.path.join(source, os.path.relpath(path, copy)), path), "half a file: " + path


def interrupted(start, busy, victim_of):
    """Starts a transfer and kills a process while it is under way. False: it was through before that."""
    process = start()
    until(lambda: busy() or process.poll() is not None, "the transfer begins")
    if process.poll() is not None:
        return False
    victim_of(process)
    process.wait(120)
    return process.returncode != 0


def client(*args):
    return lambda: subprocess.Popen([STORE, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def repeat(what, attempt, rounds=3, tries=30):
    hits = 0
    for _ in range(tries):
        hits += bool(attempt())
        if hits == rounds:
            return
    raise AssertionError("%s: interrupted only %d of %d transfers" % (what, hits, tries))


def test_interrupt(work, rng):
    source = os.path.join(work, "source")
    big_tree(source, rng)
    for scheme in SCHEMES:
        kill_client_in_get(work, source, scheme, rng)
        kill_client_in_put(work, source, scheme, rng)
        kill_server(work, source, scheme, rng)


def progress(top, rng):
    """True once a random amount of the tree is there."""
    wanted = rng.choice([1, 3, 20, 35])
    return lambda: os.path.isdir(top) and (len(os.listdir(top)) >= wanted or bool(parts(top)))


def kill_client_in_get(work, source, scheme, rng):
    copy = os.path.join(work, "copy")
    with Server(source, scheme) as server:
        def attempt():
            shutil.rmtree(copy, ignore_errors=True)
            hit = interrupted(client("get", "-r", "--from", server.uri, ".", copy), progress(copy, rng), lambda p: p.kill())
            whole_or_absent(source, copy)
            run("get", "-r", "--from", server.uri, ".", copy)
            compare(source, copy)
            assert not parts(copy), parts(copy)
            return hit

        repeat("get", attempt)
    shutil.rmtree(copy)


def kill_client_in_put(work, source, scheme, rng):
    served = os.path.join(work, "served")
    os.mkdir(served)
    copy = os.path.join(served, "tree")
    with Server(served, scheme, ["--grace", "1"]) as server:
        def attempt():
            shutil.rmtree(copy, ignore_errors=True)
            hit = interrupted(client("put", "-r", "--to", server.uri, source, "tree"), progress(copy, rng), lambda p: p.kill())
            whole_or_absent(source, copy)
            run("put", "-r", "--to", server.uri, source, "tree")
            compare_but_parts(source, copy)
            until(lambda: not parts(copy), "the killed client's part files are removed")
            return hit

        repeat("put", attempt)
    shutil.rmtree(served)


def compare_but_parts(source, copy):
    # The uploads of the client that was killed go when its grace is over.
    until(lambda: not parts(copy), "part files are removed")
    a, b = listing(source), listing(copy)
    for name, what in a.items():
        # Removing a part file is a change of its directory, and shows in that one's time.
        kept = (0, 1, 3) if what[0] == stat.S_IFDIR else (0, 1, 2, 3)
        assert [what[i] for i in kept] == [b[name][i] for i in kept], name
    whole_or_absent(source, copy)


def kill_server(work, source, scheme, rng):
    served = os.path.join(work, "served")
    os.mkdir(served)
    copy = os.path.join(served, "tree")

    def attempt():
        shutil.rmtree(copy, ignore_errors=True)
        server = Server(served, scheme)
        hit = interrupted(client("put", "-r", "--to", server.uri + "?limit=2s", source, "tree"), progress(copy, rng),
                          lambda p: server.kill())
        server.kill()
        whole_or_absent(source, copy)
        with Server(served, scheme) as server:
            assert not parts(served), "a new server left part files: %s" % parts(served)
            run("put", "-r", "--to", server.uri, source, "tree")
            compare(source, copy)
        return hit

    repeat("put", attempt, rounds=2)
    shutil.rmtree(served)


def test_full(work, rng):
    small = os.path.join(work, "small")
    os.mkdir(small)
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], stderr=subprocess.DEVNULL).returncode == 0
    if not mounted:
        print("skipped: a full disk needs a small tmpfs, and this user may not mount one")
        sys.exit(77)
    try:
        full_disk(work, small, rng)
    finally:
        subprocess.run(["umount", small], check=True)
    few_descriptors(work, rng)


def full_disk(work, small, rng):
    large, tree, ok = (os.path.join(work, n) for n in ("large", "tree", "ok"))
    write(large, rng.randbytes(20 * MIB))
    write(ok, rng.randbytes(2 * MIB))
    os.mkdir(tree)
    for i in range(400):
        write(os.path.join(tree, "f%d" % i), rng.randbytes(50_000))
    for scheme in SCHEMES:
        with Server(small, scheme) as server:
            run("put", "--to", server.uri, ok, "kept")
            for args in [("put", large, "large"), ("put", "-r", tree, "tree"), ("put", large, "kept")]:
                _, err = run(args[0], "--to", server.uri, *args[1:], ok=False)
                assert "No space left" in err and server.uri in err, err
                until(lambda: not parts(small), "what did not fit is removed")
                assert same_bytes(ok, os.path.join(small, "kept")), "what was there before is gone"
                assert not os.path.exists(os.path.join(small, "large"))
                whole_or_absent(tree, os.path.join(small, "tree"))
                run("rm", "-r", "--at", server.uri, "tree", ok=None)
            run("put", "--to", server.uri, ok, "again")
            assert same_bytes(ok, os.path.join(small, "again"))
            run("rm", "--at", server.uri, "again")
        # The other way round: the client's disk is full.
        with Server(work, scheme) as server:
            _, err = run("get", "--from", server.uri, "large", os.path.join(small, "got"), ok=False)
            assert "No space left" in err, err
            _, err = run("get", "-r", "--from", server.uri, "tree", os.path.join(small, "got-tree"), ok=False)
            assert "No space left" in err, err
            assert not parts(small) and not os.path.exists(os.path.join(small, "got"))
            whole_or_absent(tree, os.path.join(small, "got-tree"))
            shutil.rmtree(os.path.join(small, "got-tree"))


def few_descriptors(work, rng):
    """The server runs out of descriptors: an error with that name or a success, and it lives."""
    tree, served = os.path.join(work, "wide"), os.path.join(work, "few")
    os.mkdir(tree)
    os.mkdir(served)
    for i in range(120):
        write(os.path.join(tree, "f%d" % i), rng.randbytes(300_000))
    for scheme in SCHEMES:
        with Server(served, scheme, descriptors=40) as server:
            _, err = run("put", "-r", "--to", server.uri, tree, "t", ok=None)
            assert err == "" or "Too many open files" in err, err
            whole_or_absent(tree, os.path.join(served, "t"))
            write(os.path.join(work, "last"), b"still there")
            until(lambda: not parts(served), "unfinished uploads are removed")
            run("put", "--to", server.uri, os.path.join(work, "last"), "last")
            assert content(os.path.join(served, "last")) == b"still there"


def test_refuse(work, rng):
    served, outside = os.path.join(work, "served"), os.path.join(work, "outside")
    os.mkdir(served)
    os.mkdir(outside)
    write(os.path.join(outside, "secret"), b"secret")
    write(os.path.join(served, "fine"), b"fine")
    os.mkfifo(os.path.join(served, "fifo"))
    mine = os.path.join(work, "mine")
    write(mine, b"mine")
    tree = os.path.join(work, "tree")
    os.mkdir(tree)
    write(os.path.join(tree, "f"), b"f")
    for scheme in SCHEMES:
        for target, name in [("../outside", "out"), (outside, "abs"), ("../outside/secret", "file")]:
            if not os.path.lexists(os.path.join(served, name)):
                os.symlink(target, os.path.join(served, name))
        with Server(served, scheme) as server:
            got = os.path.join(work, "got")
            for path in ["../outside/secret", outside + "/secret", "out/secret", "abs/secret", "fine/../../outside/secret",
                         "/etc/passwd", "fifo", "..", ".kfx-part.0123456789abcdef"]:
                run("get", "--from", server.uri, path, got, ok=False)
                assert not os.path.lexists(got), path
            for path in ["../new", "out/new", "abs/new", outside + "/new", "fine/../../outside/new", ".kfx-part.0123456789abcdef"]:
                run("put", "--to", server.uri, mine, path, ok=False)
                run("put", "-r", "--to", server.uri, tree, path, ok=False)
                run("rm", "-r", "--at", server.uri, path, ok=False)
            for path in ["../outside", "out/secret", "abs/secret", ".", "out/", "../outside/secret"]:
                run("rm", "-r", "--at", server.uri, path, ok=None)
            for path in ["..", "out", "/", "abs"]:
                out, _ = run("ls", "-r", "--at", server.uri, path, ok=None)
                assert b"secret" not in out, path
            assert os.listdir(outside) == ["secret"], os.listdir(outside)
            # The links themselves travel as links.
            if os.path.lexists(os.path.join(served, "file")):
                run("get", "--from", server.uri, "file", got)
                assert os.readlink(got) == "../outside/secret"
                os.remove(got)
            # A link in the client's target is not followed either.
            target = os.path.join(work, "target")
            os.mkdir(target)
            os.makedirs(os.path.join(served, "sub"), exist_ok=True)
            write(os.path.join(served, "sub", "new"), b"new")
            os.symlink(outside, os.path.join(target, "sub"))
            run("get", "-r", "--from", server.uri, ".", target, ok=False)
            assert os.listdir(outside) == ["secret"]
            assert content(os.path.join(target, "fine")) == b"fine"
            shutil.rmtree(target)
    _, err = run("get", "--from", "tcp://127.0.0.1:1?limit=1s", "x", os.path.join(work, "x"), ok=False)
    assert "127.0.0.1:1" in err, err


def main(parts):
    global STORE
    STORE = sys.argv[1]
    part = sys.argv[2]
    seed = int(os.environ.get("KFX_TEST_SEED", "0"), 0) or random.SystemRandom().randrange(1, 1 << 32)
    print("KFX_TEST_SEED=%d" % seed, flush=True)
    where = next((d for d in (os.environ.get("TMPDIR"), "/dev/shm") if d and os.path.isdir(d)), None)
    work = tempfile.mkdtemp(prefix="kfx-store-", dir=where)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        parts["test_" + part](work, random.Random(seed))
        print("ok")
    finally:
        open_up(work)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main(globals())
