#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keeps by machine what the documents promise about the source.

    tidy.py [--root DIR] RULE...            the rules are the functions below named rule_*
    tidy.py --nm BASE.a ARCHIVE...          what the archives of the pure cores may need from outside

Prints one line per finding (file:line: what) and exits 1 if there is any. Reads the tree, writes nothing. Each rule
has a bad sample in test_tidy.py that it must catch.
"""
import argparse
import json
import os
import re
import subprocess
import sys

# The components, most special first: who may include whom. Of our own headers by path, of the public ones by
# <berth/...> or <weft/...>; of third parties the names in THIRD. A path that ends in '/' means all below it.
PUBLIC_BASE = ["<berth/error.h>", "<berth/types.h>", "<berth/version.h>"]
PURE_BASE = ["base/arena.h", "base/assert.h", "base/buf.h", "base/cleanup.h", "base/container.h", "base/hash.h",
             "base/heap.h", "base/list.h", "base/map.h", "base/rng.h", "base/text.h"]
CLI_BASE = ["base/args.h", "base/arena.h", "base/assert.h", "base/buf.h", "base/cleanup.h", "base/clock.h", "base/endpoint.h",
            "base/limit.h", "base/setting.h", "base/text.h"]
LAYERS = [
    # component, what it may include of ours and of third parties
    ("base/", ["base/", *PUBLIC_BASE, "uthash", "xxhash"]),
    ("runtime/include/", ["<weft/"]),
    ("runtime/", ["runtime/", "<weft/", "base/assert.h", "base/container.h", "base/heap.h", "base/list.h"]),
    ("proto/", ["proto/", "base/", *PUBLIC_BASE, "protobuf-c"]),
    ("client/core/", ["client/core/", *PURE_BASE, *PUBLIC_BASE]),
    ("client/", ["client/", "base/", "proto/", "<berth/client.h>", "<berth/admin.h>", "<berth/explain.h>", "<berth/schedule.h>", *PUBLIC_BASE, "zmq", "protobuf-c"]),
    ("broker/core/", ["broker/core/", *PURE_BASE, *PUBLIC_BASE]),
    ("broker/store/", ["broker/store/", "base/", *PUBLIC_BASE, "broker/core/job.h", "broker/core/record.h",
                       "broker/core/effect.h", "sqlite"]),
    ("broker/net/", ["broker/net/", "base/", "proto/", *PUBLIC_BASE, "broker/core/event.h", "broker/core/effect.h",
                     "broker/core/record.h", "zmq", "protobuf-c"]),
    ("broker/", ["broker/", "base/", "proto/", *PUBLIC_BASE, "zmq"]),
    ("worker/core/", ["worker/core/", *PURE_BASE, *PUBLIC_BASE]),
    ("worker/include/", ["<berth/worker.h>", "<berth/test.h>", "<berth/client.h>", "<weft/", *PUBLIC_BASE]),
    ("worker/net/", ["worker/", "base/", "proto/", *PUBLIC_BASE, "<weft/", "zmq", "protobuf-c"]),
    ("worker/", ["worker/", "base/", "proto/", "client/children.h", "<berth/client.h>", "<berth/worker.h>", "<berth/test.h>", "<weft/",
                 *PUBLIC_BASE]),
    ("cli/", ["cli/", "<berth/client.h>", "<berth/admin.h>", "<berth/explain.h>", "<berth/schedule.h>", *PUBLIC_BASE, *CLI_BASE]),
    ("tests/sim/", ["tests/sim/", "tests/support/", "base/", "broker/core/", "worker/core/", "client/core/",
                    "broker/store/store.h", "broker/store/store_mem.h", *PUBLIC_BASE]),
    ("examples/", ["examples/", "<berth/", "<weft/", "base/", "curl"]),
]
PRODUCT = ["base", "runtime", "proto", "client", "broker", "worker", "cli"]

THIRD = {"zmq": r"zmq\.h", "sqlite": r"sqlite3\.h", "protobuf-c": r"protobuf-c/.*|.*\.pb-c\.h", "uthash": r"ut\w+\.h",
         "xxhash": r"xxhash\.h", "curl": r"curl/.*", "cmocka": r"cmocka.*\.h", "inih": r"ini\.h"}

# A core never asks the world: of libc it has these headers, and so has the simulator.
CORE = ("broker/core/", "worker/core/", "client/core/")
CORE_LIBC = {"assert", "errno", "float", "inttypes", "limits", "stdalign", "stdarg", "stdbool", "stddef", "stdint",
             "stdio", "stdlib", "string"}
SIM_NEVER = {"pthread.h", "sys/socket.h", "sys/epoll.h", "poll.h", "threads.h", "netinet/in.h"}

SQLITE_FILES = re.compile(r"broker/store/store_sqlite\w*\.[ch]$|broker/store/store_sqlite/")
GENERATED = re.compile(r"\b[Bb]erth__[Vv]1__|\bBERTH__V1__|\.pb-c\.h")
GENERATED_OK = re.compile(r"^proto/|^tests/unit/(proto|worker)/|^tests/fuzz/|^tests/fakebroker/|(^|/)(test_)?translate\w*\.[ch]$")
BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strtok|strtok_r|gets|atoi|atol|atoll|atof|rand|srand|"
                    r"alloca)\s*\(")
UNCHECKED_FORMAT = re.compile(r"const char \*(?:format|fmt),\s*\.\.\.\)\s*(?!\s*(?:BERTH_PRINTF|WEFT_PRINTF|"
                              r"__attribute__|\{))[;,]")
SLEEPS = re.compile(r"(?<![\w.>])(sleep|usleep|nanosleep|clock_nanosleep)\s*\(|\bpoll\s*\(\s*NULL")
BASE_NEVER = re.compile(r"(?<![a-zA-Z])(job|dispatcher|worker)s?(?![a-zA-Z])")

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 800
SPDX = "SPDX-License-Identifier: MIT"
SPDX_FILES = re.compile(r"\.(c|h|S|py|sh|proto|cmake|in)$|(^|/)(CMakeLists\.txt|check|run|\.clang-format|\.clang-tidy)$")
NOT_SPDX = re.compile(r"\.pc\.in$|^tests/fuzz/corpus|^tests/fuzz/corpora")


class Tree:
    def __init__(self, root):
        self.root = root
        self.files = sorted(self._walk())

    def _walk(self):
        for folder, folders, names in os.walk(self.root):
            folders[:] = [f for f in folders if f not in ("build", ".git", ".cache", "node_modules", "__pycache__")
                          and not os.path.islink(os.path.join(folder, f))]
            for name in names:
                yield os.path.relpath(os.path.join(folder, name), self.root)

    def c_files(self, *folders):
        return [f for f in self.files if f.endswith((".c", ".h"))
                and (not folders or f.split("/")[0] in folders)]

    def text(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
            return file.read()

    def code(self, path):
        return strip(self.text(path))


def strip(text):
    """The text without comments and the insides of strings; lines keep their numbers."""
    def blank(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token[0] * 2
        return "\n" * token.count("\n") or " "
    return re.sub(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


def matches(pattern, tree, files, what):
    for path in files:
        for number, line in enumerate(tree.code(path).split("\n"), 1):
            found = pattern.search(line)
            if found:
                yield f"{path}:{number}: {what(found)}"


def includes(tree, path):
    for number, line in enumerate(tree.text(path).split("\n"), 1):
        found = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
        if found:
            yield number, found.group(1) == "<", found.group(2)


def third_party(name):
    return next((third for third, pattern in THIRD.items() if re.fullmatch(pattern, name)), None)


def own_path(tree, path, name):
    """What "name" means in `path`: beside it, or from the root of the tree."""
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
    if beside in tree.files:
        return beside
    if name.startswith("support/"):
        return "tests/" + name
    return name


def is_allowed(target, allowed):
    return any(target == a or (a.endswith("/") and target.startswith(a)) for a in allowed)


def include_finding(tree, path, component, allowed, is_system, name):
    third = third_party(name)
    if third:
        if third not in allowed:
            return f"{component} may not use {third}"
        if third == "sqlite" and not SQLITE_FILES.search(path):
            return "only store_sqlite*.c may use SQLite"
        return None
    if is_system and not name.startswith(("berth/", "weft/")):
        if component in CORE and name.removesuffix(".h") not in CORE_LIBC:
            return f"a pure core may not include <{name}>"
        if component == "tests/sim/" and name in SIM_NEVER:
            return f"the simulator may not include <{name}>"
        return None
    target = f"<{name}>" if is_system else own_path(tree, path, name)
    if not is_allowed(target, allowed):
        return f"{component} may not include {target} (the table of layers is in docs/ARCHITECTURE.md)"
    return None


def rule_layers(tree):
    for path in tree.c_files(*PRODUCT, "examples", "tests"):
        layer = next((row for row in LAYERS if path.startswith(row[0])), None)
        if not layer:
            continue
        for number, is_system, name in includes(tree, path):
            finding = include_finding(tree, path, *layer, is_system, name)
            if finding:
                yield f"{path}:{number}: {finding}"


def rule_words(tree):
    files = [f for f in tree.c_files("base") if not f.startswith("base/include/")]
    yield from matches(BASE_NEVER, tree, files, lambda m: f"base may not know what a {m.group(1)} is")


def rule_generated(tree):
    for path in tree.c_files():
        if GENERATED_OK.search(path):
            continue
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            if GENERATED.search(line):
                yield f"{path}:{number}: generated names belong in proto/ and translate.c"


def rule_banned(tree):
    yield from matches(BANNED, tree, tree.c_files(), lambda m: f"{m.group(1)} is not used here")
    for path in tree.c_files():
        if path.endswith(".h"):
            code = tree.code(path)
            for found in UNCHECKED_FORMAT.finditer(code):
                yield f"{path}:{code.count(chr(10), 0, found.end()) + 1}: a format function without BERTH_PRINTF"


def functions(tree, paths):
    """Name, file, first and last line of each function, by ctags."""
    names = "\n".join(os.path.join(tree.root, path) for path in paths)
    result = subprocess.run(["ctags", "--output-format=json", "--fields=+ne", "--kinds-C=f", "--language-force=C",
                             "-f", "-", "-L", "-"], input=names, capture_output=True, text=True, check=True)
    for line in result.stdout.splitlines():
        tag = json.loads(line)
        if "end" in tag:
            yield tag["name"], os.path.relpath(tag["path"], tree.root), tag["line"], tag["end"]


def rule_size(tree):
    files = tree.c_files()
    for path in files:
        count = tree.text(path).count("\n")
        if count > FILE_LINES_MAX:
            yield f"{path}:1: {count} lines; look for the second idea in it (at most {FILE_LINES_MAX})"
    if not files:
        return
    for name, path, first, last in functions(tree, files):
        if last - first + 1 <= FUNCTION_LINES_MAX:
            continue
        above = tree.text(path).split("\n")[max(0, first - 4):first - 1]
        if not any("/* long:" in line for line in above):
            yield (f"{path}:{first}: {name} has {last - first + 1} lines; split it, or say why in a comment "
                   f"'/* long: ... */' above it")


def read_untested(tree):
    """Yields list, line, path, reason. One list for each component, so that they can grow side by side."""
    for path in tree.files:
        if not re.fullmatch(r"tests/tidy/untested/[\w-]+\.txt", path):
            continue
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            if line.strip() and not line.startswith("#"):
                source, _, reason = line.partition(":")
                yield f"{path}:{number}", source.strip(), reason.strip()


def test_scope(path):
    """The component that a unit test is of; other tests may be of any."""
    found = re.match(r"tests/unit/(\w+)/", path)
    return found.group(1) if found else ""


def rule_untested(tree):
    listed = {}
    for place, source, reason in read_untested(tree):
        if not reason:
            yield f"{place}: '{source}' needs a reason"
        listed[source] = place
    tests = {(test_scope(f), os.path.basename(f)) for f in tree.files if f.startswith("tests/")}
    sources = {f for f in tree.c_files(*PRODUCT) if f.endswith(".c") and "/examples/" not in f}
    for path in sorted(sources):
        test = f"test_{os.path.basename(path)}"
        has_test = (path.split("/")[0], test) in tests or ("", test) in tests
        if not has_test and path not in listed:
            yield f"{path}:1: has no test_{os.path.basename(path)}, and no reason in tests/tidy/untested/"
        if has_test and path in listed:
            yield f"{listed[path]}: {path} has a test now"
    for path in sorted(set(listed) - sources):
        yield f"{listed[path]}: {path} is not there any more"


def rule_sleeps(tree):
    for path in tree.c_files("tests"):
        if path == "tests/support/await.c":
            continue
        lines = tree.text(path).split("\n")
        for number, line in enumerate(tree.code(path).split("\n"), 1):
            excused = any("/* sleeps:" in text for text in lines[max(0, number - 2):number])
            if SLEEPS.search(line) and not excused:
                yield f"{path}:{number}: a test awaits an event with a deadline and does not sleep"


def rule_spdx(tree):
    for path in tree.files:
        if not SPDX_FILES.search(path) or NOT_SPDX.search(path) or os.path.islink(os.path.join(tree.root, path)):
            continue
        if SPDX not in "\n".join(tree.text(path).split("\n")[:3]):
            yield f"{path}:1: the line '{SPDX}' is missing at the top"


def declared(tree, path):
    """The functions that a header declares, with their lines."""
    code = re.sub(r"^[ \t]*#.*$", "", re.sub(r"\\\n", " \n", tree.code(path)), flags=re.M)
    for found in re.finditer(r"\b(weft_\w+)\s*\(", code):
        yield found.group(1), code.count("\n", 0, found.start()) + 1


def rule_pages(tree):
    """The manual pages of weft and its headers name the same functions, and what docs/RUNTIME.md shows of the
    examples is what they are; tests that a page names exist."""
    headers = {}
    for path in tree.c_files("runtime"):
        if path.startswith("runtime/include/"):
            for name, line in declared(tree, path):
                headers.setdefault(name, f"{path}:{line}")
    pages, heads = {}, set()
    for path in [f for f in tree.files if re.fullmatch(r"docs/man/weft\w*\.3", f)]:
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            found = re.match(r"\.(?:It )?(Fn|Fo|Nm) (weft_\w+)", line)
            if found and found.group(1) == "Nm":
                heads.add(found.group(2))
            elif found:
                pages.setdefault(found.group(2), f"{path}:{number}")
    for name in sorted(set(headers) - (set(pages) & heads)):
        yield f"{headers[name]}: no page in docs/man has {name} in its NAME and its SYNOPSIS"
    for name in sorted(set(pages) - set(headers)):
        yield f"{pages[name]}: no header has {name}"
    for page in sorted({"docs/RUNTIME.md", "docs/GUARANTEES.md"} & set(tree.files)):
        yield from runtime_page(tree, page)


def runtime_page(tree, page):
    text = tree.text(page)
    for path in re.findall(r"^`(runtime/examples/\w+\.c)`, complete", text, re.M):
        if path not in tree.files or f"```c\n{tree.text(path)}```\n" not in text:
            yield f"{page}:1: {path} is not what stands here"
    tests = {os.path.basename(f).removesuffix(".c") for f in tree.c_files("tests", "runtime")}
    facts = set()
    for path in [f for f in tree.files if re.match(r"tests/(unit/\w+|store|integration)/test_\w+\.c$", f)]:
        facts |= set(re.findall(r"\b[a-z]\w+", tree.text(path)))
    for number, line in enumerate(text.split("\n"), 1):
        for name in re.findall(r"`(test_\w+)(?:\.c)?`", line):
            if name not in tests:
                yield f"{page}:{number}: there is no {name}.c"
        row = re.sub(r"`[^`]*`", "", line) if line.startswith("|") else ""
        for fact in re.findall(r"\b[a-z]+(?:_[a-z]+){2,}\b", row):
            if fact not in facts:
                yield f"{page}:{number}: no test proves {fact}"


def rule_format(tree):
    files = [os.path.join(tree.root, f) for f in tree.c_files()]
    if not files:
        return
    result = subprocess.run(["clang-format", "--dry-run", "-Werror", "--style=file", *files], capture_output=True,
                            text=True, check=False)
    for line in result.stderr.splitlines():
        if "error:" in line:
            yield os.path.relpath(line.split(" error:")[0], tree.root) + " run clang-format -i"


# ---- what the archives need -------------------------------------------------------------------------------------

def symbols(archive, kind):
    """Pairs of object file and symbol. kind: -u for undefined, --defined-only."""
    result = subprocess.run(["nm", "-A", kind, archive], capture_output=True, text=True, check=True)
    for line in result.stdout.splitlines():
        place, _, rest = line.partition(": ") if kind == "-u" else (line.rsplit(" ", 2)[0], "", line)
        place = line.split(":")[1]
        yield place.removesuffix(".o"), rest.split()[-1]


def read_allowed(path):
    """Rows `ARCHIVE OBJECT NAME...`; `*` is any; a NAME `@x.c` is all that base's x.c defines."""
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split("#")[0].split()
            if words:
                rows.append((words[0], words[1], set(words[2:])))
    return rows


def purity(base, archives, allowed):
    of_base = {}
    for obj, name in symbols(base, "--defined-only"):
        of_base.setdefault("@" + obj, set()).add(name)
    for archive in archives:
        label = os.path.basename(archive)
        own = {name for _, name in symbols(archive, "--defined-only")}
        for obj, name in symbols(archive, "-u"):
            granted = set()
            for row_archive, row_object, names in allowed:
                if row_archive in ("*", label) and row_object in ("*", obj):
                    granted |= names
            for reference in [n for n in granted if n.startswith("@")]:
                granted |= of_base.get(reference, set())
            if name not in own and name not in granted:
                yield f"{label}({obj}): a pure core may not need '{name}' (tests/tidy/core_symbols.txt)"


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(here)))
    parser.add_argument("--nm", action="store_true")
    parser.add_argument("names", nargs="+")
    args = parser.parse_args()
    if args.nm:
        findings = list(purity(args.names[0], args.names[1:], read_allowed(os.path.join(here, "core_symbols.txt"))))
    else:
        tree = Tree(args.root)
        findings = [f"{line} [{name}]" for name in args.names for line in globals()[f"rule_{name}"](tree)]
    for finding in findings:
        print(finding)
    print(f"tidy: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
