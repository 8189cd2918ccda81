#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A node that is killed in the middle of an LNet selftest batch, and comes back.

    kill_test.py KFX_LST URI_PATTERN      ('#' stands for a number nobody uses)

The batch counts what failed, goes on by itself when the node is back, and delivers no wrong byte."""
import json
import os
import signal
import socket
import subprocess
import sys
import threading

PATIENCE = 60


class Node:
    def __init__(self, lst, uri, number):
        self.process = subprocess.Popen(
            [lst, "node", "--networks", "kfx(127.0.0.%d)" % number, "--driver-option", "uri=" + uri,
             "--transaction-timeout", "3"], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("ready"), "node %d did not start: %r" % (number, line)

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait(PATIENCE)


def console(lst, uri):
    """A console that takes commands from a pipe and answers with one object a line."""
    return subprocess.Popen([lst, "run", "--json", "--keep-going", "--networks", "kfx(127.0.0.4)", "--driver-option", "uri=" + uri,
                             "--transaction-timeout", "3", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.2", 0))
        return s.getsockname()[1]


def main():
    lst, pattern = sys.argv[1:]
    uri = pattern.replace(":#", ":%d" % free_port()).replace("#", str(os.getpid()))
    client, server = Node(lst, uri, 2), Node(lst, uri, 3)
    c = console(lst, uri)
    watchdog = threading.Timer(4 * PATIENCE, c.kill)
    watchdog.start()

    def say(text):
        c.stdin.write(text + "\n")
        c.stdin.flush()

    def stat():
        say("stat --delay 1 --count 1 clients")
        for line in c.stdout:
            if line.startswith('{"stat"'):
                return json.loads(line)
        raise AssertionError("the console ended")

    def until(condition, what):
        total = 0
        for _ in range(PATIENCE):
            s = stat()
            assert s["brw_errors"] == 0, "wrong bytes: %s" % s
            total += s["errors"]
            if condition(s):
                return total
        raise AssertionError(what)

    for command in ("new_session --timeout 300 kill", "add_group clients 127.0.0.2@kfx", "add_group servers 127.0.0.3@kfx",
                    "add_batch b",
                    "add_test --batch b --concurrency 8 --from clients --to servers brw write check=full size=256K",
                    "add_test --batch b --concurrency 8 --from clients --to servers brw read check=full size=256K", "run b"):
        say(command)
    moved = lambda s: s["rpcs_completed"] > 0 and s["errors"] == 0
    until(moved, "the batch does not begin")
    for _ in range(2):
        server.end(signal.SIGKILL)
        errors = until(lambda s: s["errors"] > 0, "nothing failed though the server is dead")
        print("killed: %d errors counted" % errors)
        server = Node(lst, uri, 3)
        until(moved, "it does not go on")
        print("back: it goes on")
    say("stop b")
    say("end_session")
    c.stdin.close()
    c.stdout.read()
    c.wait(PATIENCE)
    watchdog.cancel()
    for node in (client, server):
        node.end(signal.SIGTERM)


if __name__ == "__main__":
    main()
