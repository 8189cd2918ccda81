#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The rules of the tree that no compiler checks.

    structure.py rules ROOT                  includes run down, licence lines, sizes of files and functions, paths
    structure.py headers ROOT COMPILER…      each header compiles alone (the command without a file)
    structure.py selftest                    each rule finds a violation made for it
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

MAX_FILE = 500
MAX_FUNCTION = 60

# Each folder of src may include itself and what stands to its right.
LAYERS = ["node", "cm", "engine", "memory", "numa", "wire", "base"]
FOR_BACKENDS = re.compile(r"(kfx/backend/|kfx/(error|types|options)\.hpp$|base/)")

SKIPPED_FOLDERS = {".git", ".cache", "subprojects", "corpus", "corpora"}
LICENSED = {".cpp", ".hpp", ".c", ".h", ".py", ".sh", ".in", ".build", ".clang-tidy", ".yml"}
LICENSED_NAMES = {"meson.build", "meson_options.txt", "CMakeLists.txt", ".clang-tidy", "Doxyfile", "run"}
LICENCE = "SPDX-License-Identifier: BSD-2-Clause"
# A path of the machine that somebody works on; those of any system (/usr, /tmp, /proc…) are fine.
MACHINE_PATH = re.compile(r"(?<![\w.\-/])/(?:root|home|work)/[\w.]")

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
# GCC 12 destroys the temporary twice that `co_await f(b ? std::string(…) : "…")` makes: a double free.
AWAITED_CHOICE = re.compile(r"\bco_await\b[^;{}]*\?[^;{}]*:(?!:)")
# A command of a document that is a program of the tree.
COMMAND = re.compile(r"^((?:scripts|bench)/[\w.\-/]+)")
NO_FUNCTION = re.compile(r"\s*(namespace|class|struct|union|enum|extern|if|for|while|switch|do|else|template\s*<[^>]*>\s*(class|struct))\b")


def files(root):
    """Every file of the tree, relative to it; build directories and corpora left out."""
    for folder, names, leaves in os.walk(root):
        names[:] = sorted(n for n in names if n not in SKIPPED_FOLDERS and not n.startswith("build"))
        for leaf in sorted(leaves):
            yield pathlib.Path(folder, leaf).relative_to(root)


def include_rule(path, target):
    """Why the file at `path` must not include `target`, or None."""
    parts = path.parts
    if parts[0] == "include":
        if not target.startswith("kfx/"):
            return "a public header includes public headers only (kfx/…)"
        if parts[:3] == ("include", "kfx", "backend") and not FOR_BACKENDS.match(target):
            return "the backend interface knows kfx/backend/, error, types and options only"
    elif parts[0] == "src" and len(parts) > 2:
        if target.startswith("kfx/"):
            return None
        first = target.split("/")[0]
        allowed = LAYERS[LAYERS.index(parts[1]):] if parts[1] in LAYERS else []
        if "/" not in target or first not in allowed:
            return f"src/{parts[1]} includes kfx/ and {', '.join(a + '/' for a in allowed)} only"
    elif parts[0] == "backends" and len(parts) > 2:
        if path.name.endswith(("_test.cpp", "_test.hpp")):
            return None
        own = target.startswith(f"backends/{parts[1]}/") or "/" not in target
        if not own and not FOR_BACKENDS.match(target) and target != "memory/slab.hpp":
            return "a backend knows kfx/backend/, kfx/{error,types,options}.hpp, base/, memory/slab.hpp and itself only"
    return None


def long_functions(lines):
    """(line number, length) of each function too long. Relies on the format: a body's braces stand in one column."""
    openers = {}  # column -> line that may open a body
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith(("#", "//", "public:", "private:", "protected:", "case ", "default:")):
            continue
        column = len(line) - len(line.lstrip())
        if text.startswith("}"):
            opener = openers.get(column)
            if opener and number - opener[0] + 1 > MAX_FUNCTION and not NO_FUNCTION.match(opener[1]) and "(" in opener[1]:
                yield opener[0], number - opener[0] + 1
            openers.pop(column, None)
        elif column not in openers or not openers[column][1].rstrip().endswith("{"):
            openers[column] = (number, text)
        else:
            openers[column] = (number, text)


def commands(lines):
    """(line number, program) of what a document's fenced lines run out of the tree."""
    fenced = False
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        found = fenced and COMMAND.match(line)
        if found:
            yield number, found.group(1)


def check_file(root, path):
    """Each broken rule as a sentence."""
    try:
        text = (root / path).read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        return
    lines = text.splitlines()
    code = path.suffix in (".cpp", ".hpp", ".c", ".h", ".py", ".sh")
    if path.suffix in LICENSED or path.name in LICENSED_NAMES:
        if not any(LICENCE in line for line in lines[:2]):
            yield f"{path}:1: no licence; begin the file with a comment “{LICENCE}”"
    if code and len(lines) > MAX_FILE:
        yield f"{path}:{len(lines)}: {len(lines)} lines; split the file so that none has more than {MAX_FILE}"
    for number, line in enumerate(lines, 1):
        found = MACHINE_PATH.search(line)
        if found:
            yield f"{path}:{number}: the path {found.group()}… exists on one machine only; derive it or leave it out"
    if path.suffix == ".md":
        for number, program in commands(lines):
            if not os.access(root / program, os.X_OK):
                yield f"{path}:{number}: {program} cannot be run as written; chmod +x, or correct the path"
    if path.suffix in (".cpp", ".hpp"):
        for number, line in enumerate(lines, 1):
            include = INCLUDE.match(line)
            reason = include and include_rule(path, include.group(1))
            if reason:
                yield f'{path}:{number}: includes "{include.group(1)}"; {reason}'
        if path.suffix == ".hpp" and not any(line.strip() == "#pragma once" for line in lines):
            yield f"{path}:1: no #pragma once; a header is included from many places"
        bare = STRING.sub('""', text)
        for found in AWAITED_CHOICE.finditer(bare):
            number = bare.count("\n", 0, found.start()) + 1
            yield f"{path}:{number}: ?: within a co_await, which GCC 12 miscompiles; choose into a variable before it"
        if path.parts[0] in ("include", "src", "backends", "tools"):
            for number, length in long_functions(lines):
                yield f"{path}:{number}: a function of {length} lines; split it so that none has more than {MAX_FUNCTION}"


def rules(root):
    seen = 0
    broken = []
    for path in files(root):
        seen += 1
        broken += check_file(root, path)
    print("\n".join(broken))
    print(f"{seen} files, {len(broken)} rules broken")
    return 1 if broken or seen < 20 else 0


def headers(root, compiler):
    """Public headers, and internal ones, each as a file of its own."""
    everything = [p for p in files(root) if p.suffix == ".hpp" and p.parts[0] in ("include", "src", "backends")]

    def compile_alone(path):
        include = path.relative_to("include") if path.parts[0] == "include" else path
        if path.parts[0] == "src":
            include = path.relative_to("src")
        # A public header must not find anything of src; those within may.
        folders = [f"-I{root}/include"] + ([] if path.parts[0] == "include" else [f"-I{root}/src", f"-I{root}"])
        command = compiler + folders + ["-fsyntax-only", "-x", "c++", "-"]
        # Twice, so that a missing guard shows.
        source = f'#include "{include}"\n' * 2
        done = subprocess.run(command, input=source, text=True, capture_output=True, check=False)
        return path, done

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("KFX_JOBS", os.cpu_count() or 1))) as pool:
        for path, done in pool.map(compile_alone, everything):
            if done.returncode != 0:
                failed += 1
                print(f"{path} does not compile alone:\n{done.stderr[:4000]}")
    print(f"{len(everything)} headers, {failed} do not compile alone")
    return 1 if failed or len(everything) < 10 else 0


def selftest():
    """A rule that finds nothing is worse than none."""
    spdx = f"// {LICENCE}\n"
    long_body = spdx + "void f(\n    int a) {\n" + "  g();\n" * 70 + "}\n"
    cases = [
        ("include/kfx/a.hpp", spdx + '#pragma once\n#include "engine/session.hpp"\n', "public headers only"),
        ("include/kfx/backend/a.hpp", spdx + '#pragma once\n#include "kfx/node.hpp"\n', "backend interface"),
        ("include/kfx/a.hpp", spdx + '#include "kfx/op.hpp"\n', "#pragma once"),
        ("src/base/a.cpp", spdx + '#include "wire/frame.hpp"\n', "src/base includes"),
        ("src/engine/a.cpp", spdx + '#include "node/node.hpp"\n', "src/engine includes"),
        ("src/wire/a.cpp", spdx + '#include "backends/tcp/tcp_link.hpp"\n', "src/wire includes"),
        ("src/wire/a.cpp", spdx + '#include "frame.hpp"\n', "src/wire includes"),
        ("backends/tcp/a.cpp", spdx + '#include "wire/stream_link.hpp"\n', "a backend knows"),
        ("backends/tcp/a.cpp", spdx + '#include "kfx/node.hpp"\n', "a backend knows"),
        ("backends/tcp/a.cpp", spdx + '#include "backends/loopback/byte_ring.hpp"\n', "a backend knows"),
        ("src/base/a.cpp", "int i;\n", "no licence"),
        ("meson.build", "project('x')\n", "no licence"),
        ("src/base/a.cpp", spdx + "int i;\n" * MAX_FILE, "lines; split the file"),
        ("src/base/a.cpp", long_body, "a function of 7"),
        ("src/cm/a.cpp", spdx + "co_await f(a,\n         b ? c() : \"d\");\n", "co_await"),
        ("docs/a.md", "see /" + "home/me/notes\n", "one machine only"),
        ("docs/a.md", "```sh\nbench/gone.sh build\n```\n", "cannot be run"),
    ]
    fine = [
        ("src/cm/a.cpp", spdx + 'co_await f("who?: me", a::b);\nint i = b ? 1 : 2;\n'),
        ("src/engine/a.cpp", spdx + '#include "kfx/node.hpp"\n#include "wire/frame.hpp"\n#include "base/random.hpp"\n'),
        ("backends/tcp/a.cpp", spdx + '#include "backends/tcp/b.hpp"\n#include "kfx/backend/link.hpp"\n#include <vector>\n'),
        ("src/base/a.cpp", spdx + "namespace kfx {\n" + "int f(int a) {\n  return a;\n}\n" * 100 + "}  // namespace kfx\n"),
        ("docs/a.md", "`bench/gone.sh`\n```\nmeson setup\n```\nbench/gone.sh\n"),
        ("docs/a.md", "https://example.org/home/me and /proc/self, ./work/x\n"),
    ]
    wrong = 0
    for name, text, expected in cases + [(n, t, None) for n, t in fine]:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
            broken = list(check_file(root, pathlib.Path(name)))
            good = not broken if expected is None else len(broken) == 1 and expected in broken[0]
            if not good:
                wrong += 1
                print(f"{name} with\n{text[:200]}\nexpected {expected}, found {broken}")
    print(f"{len(cases) + len(fine)} cases, {wrong} wrong")
    return 1 if wrong else 0


def main(arguments):
    if arguments[:1] == ["selftest"]:
        return selftest()
    if len(arguments) < 2 or arguments[0] not in ("rules", "headers"):
        print(__doc__, file=sys.stderr)
        return 2
    root = pathlib.Path(arguments[1]).resolve()
    return rules(root) if arguments[0] == "rules" else headers(root, arguments[2:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
