#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""weft beside other runtimes and beside what the machine gives, in the same run.

    runtime.py [--peers DIR] [--libs DIR] [--ours DIR] [--work DIR] [--rounds 5] [--groups r1,r2,...] [--out FILE]
               [--nice N] [--long]
    runtime.py --read FILE...               only the tables, from the lines that earlier runs have kept

Builds what it can of the peers' programs (--peers or $BENCH_PEERS: a folder with limit_park.c, bench.go, tokio_bench.rs
and so on; without it ours are measured alone), then runs all programs in turn, round after round, so that whatever
else the machine does meets all alike. Every figure is the median of the rounds, and every ratio the median of the
ratios of each round, for the speed of the machine changes meanwhile. What cannot be built or run is skipped, and
said. It changes no setting of the machine, and each program has a limit of time.

Prints the tables of the dispatchers article with our rows beside theirs, then one row for each promise on speed:
ours, what stands beside it, their ratio, and whether that is within what was promised.
"""
import argparse
import collections
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
GROUPS = ["r1", "r1b", "r2", "r2m", "r3", "r4", "r5", "r6", "echo"]
SERVER_CPU, LOAD_CPU = 0, 1
ECHO_TURNS, ECHO_SECONDS = 3, 2
FILES_WANTED = 11000


def say(text):
    print(f"# {text}", file=sys.stderr, flush=True)


# ---- building the peers -----------------------------------------------------------------------------------------

class Peers:
    """Programs of others, by name: how each is started. What is missing says why, once."""

    def __init__(self, sources, libs, work):
        self.sources, self.libs, self.work, self.commands = sources, libs, work, {}
        if not sources:
            say("no folder of peers (--peers): ours alone")
            return
        os.makedirs(work, exist_ok=True)
        for name in ("limit_park", "limit_timers", "limits", "epollserver", "netload", "pthreads"):
            self.build_c(name, f"{name}.c")
        self.build_go()
        self.build_tokio()
        self.build_kotlin()
        self.build_libraries()

    def source(self, name):
        path = os.path.join(self.sources, name)
        return path if os.path.exists(path) else None

    def attempt(self, name, argv, seconds=600, cwd=None):
        try:
            done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            say(f"{name}: skipped: {error}")
            return False
        if done.returncode != 0:
            lines = (done.stderr.strip() or done.stdout.strip() or "failed").splitlines()
            say(f"{name}: skipped: {argv[0]}: " + next((line for line in lines if "error" in line), lines[-1]))
        return done.returncode == 0

    def is_fresh(self, out, *sources):
        return os.path.exists(out) and all(os.path.getmtime(out) >= os.path.getmtime(s) for s in sources)

    def build_c(self, name, source, *more):
        path, out = self.source(source), os.path.join(self.work, name)
        if not path:
            say(f"{name}: skipped: there is no {source}")
        elif self.is_fresh(out, path) or self.attempt(name, ["cc", "-O2", "-w", "-pthread", "-I", self.sources, path,
                                                             *more, "-o", out, "-lm"]):
            self.commands[name] = [out]

    def build_go(self):
        path, out = self.source("bench.go"), os.path.join(self.work, "bench_go")
        if not path or not shutil.which("go"):
            say("go: skipped: " + ("go is not installed" if path else "there is no bench.go"))
        elif self.is_fresh(out, path) or self.attempt("go", ["go", "build", "-o", out, path]):
            self.commands["go"] = [out]

    def build_tokio(self):
        path, project = self.source("tokio_bench.rs"), os.path.join(self.work, "tokio")
        out = os.path.join(project, "target", "release", "tokio_bench")
        if not path or not shutil.which("cargo"):
            say("tokio: skipped: " + ("cargo is not installed" if path else "there is no tokio_bench.rs"))
            return
        os.makedirs(os.path.join(project, "src"), exist_ok=True)
        with open(os.path.join(project, "Cargo.toml"), "w", encoding="utf-8") as file:
            file.write('[package]\nname = "tokio_bench"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\n'
                       'tokio = { version = "1", features = ["full"] }\n[profile.release]\nlto = true\n')
        shutil.copyfile(path, os.path.join(project, "src", "main.rs"))
        if self.is_fresh(out, path) or self.attempt("tokio", ["cargo", "build", "--release", "--quiet"], 900, project):
            self.commands["tokio"] = [out]

    def build_kotlin(self):
        path, folder = self.source("Bench.kt"), os.path.join(self.work, "kotlin")
        lib = os.path.join(folder, "node_modules", "kotlin-compiler", "lib")
        jar = os.path.join(folder, "bench.jar")
        missing = [tool for tool in ("java", "npm") if not shutil.which(tool)]
        if not path or missing:
            say("kotlin: skipped: " + (f"no {' and no '.join(missing)}" if path else "there is no Bench.kt"))
            return
        os.makedirs(folder, exist_ok=True)
        coroutines = os.path.join(lib, "kotlinx-coroutines-core-jvm.jar")
        if not os.path.exists(coroutines) and not self.attempt(
                "kotlin", ["npm", "install", "--silent", "--prefix", folder, "kotlin-compiler"]):
            return
        compiler = os.path.join(lib, "..", "bin", "kotlinc")
        if self.is_fresh(jar, path) or self.attempt("kotlin", ["bash", compiler, path, "-cp", coroutines, "-d", jar]):
            stdlib = os.path.join(lib, "kotlin-stdlib.jar")
            self.commands["kotlin"] = ["java", "-Xmx8g", "-cp", f"{jar}:{coroutines}:{stdlib}", "BenchKt"]

    def build_libraries(self):
        """Libraries in C: from the checkouts in --libs, as their own documents say."""
        def checkout(name):
            path = os.path.join(self.libs, name) if self.libs else None
            if path and os.path.isdir(path):
                return path
            say(f"{name}: skipped: no checkout of it" + (f" in {self.libs}" if self.libs else " (--libs)"))
            return None

        def parts(path):
            unwanted = {"tls.c"}
            return [os.path.join(path, f) for f in sorted(os.listdir(path)) if f.endswith(".c") and f not in unwanted]

        dill, neco, minicoro = checkout("libdill"), checkout("neco"), checkout("minicoro")
        if dill:
            defines = [f"-D{d}" for d in ("DILL_SOCKETS", "DILL_THREADS", "DILL_PTHREAD", "HAVE_EPOLL", "HAVE_MPROTECT",
                                          "HAVE_POSIX_MEMALIGN", "HAVE_CLOCK_GETTIME")]
            self.build_c("libdill", "bench_dill.c", "-std=gnu99", *defines, "-I", dill, "-I", f"{dill}/dns",
                         *parts(dill), f"{dill}/dns/dns.c")
        if neco:
            self.build_c("neco", "bench_neco.c", "-I", neco, f"{neco}/neco.c")
        if minicoro:
            self.build_c("minicoro", "bench_switchlibs.c", "-DUSE_MINICORO", "-DSTK=16384", "-I", minicoro)


# ---- running ----------------------------------------------------------------------------------------------------

class Figures:
    """The values of each key (program, test, variant and unit), by the turn in which they were measured."""

    def __init__(self, out):
        self.values, self.out, self.turn = collections.OrderedDict(), out, ""

    def add(self, program, test, variant, unit, value):
        turns = self.values.setdefault((program, test, variant, unit), {})
        turns.setdefault(self.turn, []).append(value)
        if self.out:
            self.out.write(f"{program}\t{test}\t{variant}\t{value:.6g}\t{unit}\t{self.turn}\n")
            self.out.flush()

    def take(self, program, text):
        for line in text.splitlines():
            words = line.split("\t")
            try:
                self.add(program, words[1], words[2], words[4], float(words[3]))
            except (IndexError, ValueError):
                continue

    def read(self, path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                words = line.rstrip("\n").split("\t")
                self.turn = f"{path} {words[5]}" if len(words) > 5 else path
                self.take(words[0], line)

    def turns(self, program, test, variant, unit):
        """The median of each turn; the variant is a pattern."""
        found = collections.defaultdict(list)
        for (p, t, x, u), turns in self.values.items():
            if (p, t, u) == (program, test, unit) and re.fullmatch(variant, x):
                for turn, values in turns.items():
                    found[turn] += values
        return {turn: statistics.median(values) for turn, values in found.items()}

    def find(self, *key):
        """The median of the turns. None: never measured."""
        turns = self.turns(*key)
        return statistics.median(turns.values()) if turns else None

    def ratio(self, ours, beside):
        """The median of the ratios of the turns in which both were measured. None: in no turn."""
        mine, theirs = self.turns(*ours), self.turns(*beside)
        ratios = [mine[turn] / theirs[turn] for turn in mine if theirs.get(turn)]
        return statistics.median(ratios) if ratios else None


def end(process):
    """The process and what it has started: they are a group of their own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def run(figures, program, argv, seconds, label=""):
    """One program to its end; its lines, and what it cost as a whole."""
    with tempfile.TemporaryFile("w+") as lines:
        try:
            process = subprocess.Popen(argv, stdout=lines, stderr=subprocess.DEVNULL, start_new_session=True)
        except OSError as error:
            return say(f"{program} {label}: {error}")
        until = time.monotonic() + seconds
        pid, status, usage = 0, 0, None
        while pid == 0 and time.monotonic() < until:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            time.sleep(0 if pid else 0.01)
        if pid == 0:
            end(process)
            return say(f"{program} {label}: ended after {seconds} s")
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            say(f"{program} {label}: exit status {process.returncode}")
        lines.seek(0)
        figures.take(program, lines.read())
        figures.add(program, "process", f"{label}_cpu", "ms", (usage.ru_utime + usage.ru_stime) * 1000)
        figures.add(program, "process", f"{label}_peak", "MiB", usage.ru_maxrss / 1024)
    return None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port, process, seconds=10):
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.05)
    return False


def start_echo(program, argv):
    """A server on its core: the process and its port; None: it does not listen."""
    port = free_port()
    argv = ["taskset", "-c", str(SERVER_CPU)] + [str(port) if word == "PORT" else word for word in argv]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    if await_port(port, process):
        return process, port
    end(process)
    return say(f"{program} echo: it does not listen")


def load_echo(figures, netload, program, server, count):
    process, port = server
    load = netload + [program, "1core", str(port), str(count), str(ECHO_SECONDS), str(LOAD_CPU), str(process.pid)]
    try:
        done = subprocess.run(load, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return say(f"{program} echo {count}: the load did not end")
    if done.returncode != 0:
        say(f"{program} echo {count}: {done.stderr.strip() or done.returncode}")
    figures.take(program, done.stdout)
    return None


def run_echo(figures, commands, connections):
    """The servers on one core, the load on another. All servers are there at once, and get the load in short turns:
    the speed of the machine changes within seconds by more than they differ."""
    servers = {}
    turn = figures.turn
    try:
        for name, arguments in ECHO:
            server = start_echo(name, commands[name] + arguments) if name in commands else None
            if server:
                servers[name] = server
        for number in range(ECHO_TURNS):
            figures.turn = f"{turn}.{number + 1}"
            for count in connections:
                for name, server in servers.items():
                    load_echo(figures, commands["netload"], name, server, count)
    finally:
        for process, _ in servers.values():
            end(process)


# ---- what is run ------------------------------------------------------------------------------------------------

OURS_R1 = ["1 plain threads", "2 plain threads", "64 plain threads", "100 plain threads", "1 thread", "default", "io",
           "view of 50", "view of 100", "virtual, 1 thread", "virtual"]


def plan(groups, ours, is_long):
    """Rows of group, program, arguments and limit in seconds; `echo` is apart."""
    rows = []

    def add(group, program, arguments, seconds=60, label=None):
        if group in groups:
            rows.append((group, program, arguments.split("|"), seconds, label or arguments.replace("|", "_")))

    for row in OURS_R1 if ours else []:
        add("r1", "weft", f"r1|only|{row}" + ("|long" if is_long else ""), 180)
    add("r1b", "weft", "r1b", 180)
    add("r1", "pthreads", "r1", 180)
    add("r1", "go", "r1|0|2", 120)
    add("r1", "tokio", "r1|0|2", 120)
    add("r1", "kotlin", "r1", 240)
    for group, count in (("r2", 100000), ("r2m", 1000000)):
        add(group, "limit_park", f"pageguard|{count}|65536")
        add(group, "weft", f"r2|{count}")
        add(group, "weft", f"r2|{count}|delay")
        add(group, "limit_park", f"copy|{count}")
        add(group, "weft", f"r2|{count}|compact")
        add(group, "weft", f"r2|{count}|delay|compact")
        add(group, "go", f"r2|{count}")
        add(group, "tokio", f"r2|{count}|2")
        add(group, "kotlin", f"r2delay|{count}|Default")
    add("r2", "libdill", "r2|100000")
    add("r3", "libdill", "r3|100000")
    for threads in (1, 2):
        add("r3", "weft", f"r3|1000000|{threads}")
        add("r3", "go", f"r3|1000000|{threads}")
        add("r3", "tokio", f"r3|1000000|{threads - 1 if threads == 1 else 2}")
    add("r3", "limit_park", "reuse|3000000")
    add("r3", "kotlin", "r3|1000000", 120)
    for program in ("weft", "libdill", "minicoro", "neco", "go", "tokio", "kotlin"):
        add("r4", program, "r4", 120)
    add("r4", "limits", "switch")
    for program in ("weft", "tokio", "go", "kotlin"):
        add("r5", program, "r5", 120)
    add("r6", "limit_timers", "copy|1000000")
    add("r6", "weft", "r6|1000000")
    add("r6", "weft", "r6|1000000|compact")
    add("r6", "go", "r6|1000000|2")
    add("r6", "tokio", "r6|1000000|2")
    add("r6", "kotlin", "r6|1000000|Default", 90)
    return rows


ECHO = [("epollserver", ["PORT", "1"]), ("weft", ["echo", "PORT"]), ("libdill", ["echo", "PORT"]),
        ("go", ["echo", "PORT", "1"]), ("tokio", ["echo", "PORT", "0"])]


def measure(args, peers, figures):
    commands = dict(peers.commands)
    program = os.path.join(args.ours, "bench_weft")
    if os.path.exists(program):
        commands["weft"] = [program]
    else:
        say(f"weft: skipped: there is no {program} (build the release)")
    rows = plan(args.groups, "weft" in commands, args.long)
    for number in range(args.rounds):
        say(f"round {number + 1} of {args.rounds}, load {os.getloadavg()[0]:.2f}")
        figures.turn = str(number + 1)
        for _, name, arguments, seconds, label in rows:
            if name in commands:
                run(figures, name, commands[name] + arguments, seconds, label)
        if "echo" in args.groups and "netload" in commands:
            run_echo(figures, commands, args.connections)


# ---- the tables -------------------------------------------------------------------------------------------------

def table(title, head, rows):
    rows = [head] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    print(f"\n{title}\n")
    for number, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def show(value, unit=""):
    if value is None:
        return "-"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".strip()


# The article's own figures: its author's machine, which had 8 cores; cpu and memory there are whole.
ARTICLE = [("article, single thread", 1002, 100003, 39103, 94358), ("article, Default (8 threads)", 1002, 13003, 8473, 21461),
           ("article, IO (64 threads)", 1002, 2003, 9893, 20776), ("article, 100 threads", 1002, 1003, 10379, 21004)]
COLUMNS = ["suspend", "block", "cpu/10", "memory/20"]
PARKED = "park"  # ours: block, in coroutines that called weft_intercept(true)


def article_tables(figures):
    rows = [[name, show(a), show(b), f"({c / 10:,.0f})", f"({d / 20:,.0f})"] for name, a, b, c, d in ARTICLE]
    names = collections.OrderedDict()
    for (program, test, variant, _), _ in figures.values.items():
        if test == "R1_table" and ":" in variant:
            names.setdefault((program, variant.split(":")[0]), None)
    for program, name in sorted(names, key=lambda key: (key[0] == "weft", key[0])):
        cells = [figures.find(program, "R1_table", re.escape(f"{name}:{c}") + (r".*" if c == "block" else ""), "ms")
                 for c in COLUMNS]
        rows.append([f"{program}, {name}", *[show(cell) for cell in cells]])
        parked = figures.find(program, "R1_table", re.escape(f"{name}:{PARKED}"), "ms")
        if parked is not None and not name.startswith("virtual"):
            rows.append([f"{program}, {name}, weft_intercept(true)", "", show(parked), "", ""])
    table("100 coroutines, in ms (the article's cpu and memory are divided by 10 and 20 to stand beside the others')",
          ["", *COLUMNS], rows)
    rows = [["article, Loom, Thread.sleep", "2,273", ""], ["article, IO.limitedParallelism(100_000)", "23,803", ""]]
    for name, program, variant, label in CROWDS:
        wall = figures.find(program, "R2_floor" if program == "limit_park" else "R2_block", variant, "ms")
        if wall is not None:
            rows.append([name, show(wall), show(figures.find(program, "process", label, "MiB"))])
    table("100,000 that wait for one second", ["", "ms", "MiB"], rows)


CROWDS = [
    ("Go, time.Sleep", "go", r"100000_sleep_procs\d+", r"r2_100000_peak"),
    ("Tokio, async sleep", "tokio", r"100000_sleep_w2", r"r2_100000_2_peak"),
    ("Kotlin, delay", "kotlin", r"Default_delay_100000", r"r2delay_100000_Default_peak"),
    ("libdill, msleep", "libdill", r"100000_sleep", r"r2_100000_peak"),
    ("the machine: a switch and a stack of 64 KiB with a guard", "limit_park", r"pageguard_64K_100000",
     r"pageguard_100000_65536_peak"),
    ("the machine: a switch, the used part of the stack copied out", "limit_park", r"copy_4K_100000",
     r"copy_100000_peak"),
    ("weft, weft_sleep_ms", "weft", r"100000_delay", r"r2_100000_delay_peak"),
    ("weft, libc's sleep in virtual threads", "weft", r"100000_sleep", r"r2_100000_peak"),
    ("weft, the same, compact", "weft", r"100000_sleep_compact", r"r2_100000_compact_peak"),
]


def key(program, test, variant, unit):
    return program, test, variant, unit


# A promise: the work; ours; what stands beside it and its name; ours may be at most `ratio` times that (at least, if
# `is_rate`); or, where nothing stands beside it, at most `most`. The ratios of nanoseconds are those of the promised
# figure to the one that the peer had when the promise was made.
PROMISES = [
    # work, ours, beside, its name, ratio, most, is_rate
    ("100,000 virtual threads in libc's sleep(1), ms", key("weft", "R2_block", "100000_sleep", "ms"),
     key("limit_park", "R2_floor", "pageguard_64K_100000", "ms"), "the machine", 1.1, None, False),
    ("- peak, MiB", key("weft", "process", "r2_100000_peak", "MiB"), None, "", None, 450, False),
    ("- CPU, ms", key("weft", "process", "r2_100000_cpu", "ms"),
     key("limit_park", "process", "pageguard_100000_65536_cpu", "ms"), "the machine", 600 / 319, None, False),
    ("- compact, ms", key("weft", "R2_block", "100000_sleep_compact", "ms"),
     key("limit_park", "R2_floor", "copy_4K_100000", "ms"), "the machine", 1.08 / 1.02, None, False),
    ("- compact, peak, MiB", key("weft", "process", "r2_100000_compact_peak", "MiB"), None, "", None, 60, False),
    ("1,000,000 suspended, ms", key("weft", "R2_block", "1000000_delay", "ms"),
     key("limit_park", "R2_floor", "pageguard_64K_1000000", "ms"), "the machine", 1.15, None, False),
    ("- bytes each", key("weft", "R2_block", "1000000_delay_bytes_per_task", "B"), None, "", None, 4506, False),
    ("- compact, ms", key("weft", "R2_block", "1000000_delay_compact", "ms"),
     key("limit_park", "R2_floor", "copy_4K_1000000", "ms"), "the machine", 1.6 / 1.166, None, False),
    ("- compact, bytes each", key("weft", "R2_block", "1000000_delay_compact_bytes_per_task", "B"), None, "", None, 400,
     False),
    ("spawn + join, one thread, 1,000 at a time, ns", key("weft", "R3_spawn", "1000_at_a_time_threads1", "ns"),
     key("libdill", "R3_spawn", r"\d+_bundle_go_all_1thread", "ns"), "libdill", 60 / 40, 60, False),
    ("- 1,000,000 queued", key("weft", "R3_spawn", "1000000_all_threads1", "ns"),
     key("tokio", "R3_spawn", r"\d+_spawn_all_join_all_w0", "ns"), "Tokio", None, None, False),
    ("- started in place", key("weft", "R3_spawn", "1000000_undispatched_threads1", "ns"),
     key("libdill", "R3_spawn", r"\d+_bundle_go_all_1thread", "ns"), "libdill", 60 / 40, 60, False),
    ("- one at a time", key("weft", "R3_spawn", "each_threads1", "ns"),
     key("libdill", "R3_spawn", r"\d+_spawn_join_each_1thread", "ns"), "libdill", 60 / 40, 60, False),
    ("- two threads, 1,000,000 queued", key("weft", "R3_spawn", "1000000_all_threads2", "ns"),
     key("go", "R3_spawn", r"\d+_spawn_all_join_all_procs2", "ns"), "Go", 120 / 529, 120, False),
    ("yield between two, ns", key("weft", "R4_switch", "pair_yield_threads1", "ns"),
     key("libdill", "R4_switch", "pair_yield", "ns"), "libdill", 12 / 27, 12, False),
    ("channel ping-pong, one worker, ns", key("weft", "R4_switch", r"chan_pingpong_capacity0_threads1", "ns/msg"),
     key("libdill", "R4_switch", "chan_pingpong_1thread", "ns/msg"), "libdill", 40 / 62, 40, False),
    ("one job through a serial view (weft_with), ns", key("weft", "R5_serial", r"with_1000000_threads1", "ns"),
     key("tokio", "R5_serial", "actor_unbounded_1000000_w0", "ns"), "Tokio's actor", 40 / 88, 40, False),
    ("- a coroutine for each", key("weft", "R5_serial", r"launch_1000000_threads1", "ns"),
     key("tokio", "R5_serial", "actor_unbounded_1000000_w0", "ns"), "Tokio's actor", None, None, False),
    ("- a coroutine for each, two threads", key("weft", "R5_serial", r"launch_1000000_threads2", "ns"),
     key("tokio", "R5_serial", "actor_unbounded_1000000_w2", "ns"), "Tokio's actor", None, None, False),
    ("1,000,000 timers in a second, compact, ms", key("weft", "R6_timers", "1000000_sleepers_compact", "ms_total"),
     key("limit_timers", "R6_timers", r"copy_wheel65us_\d+", "ms_total"), "the machine", 1.5 / 1.2, None, False),
    ("- late, p50, us", key("weft", "R6_timers", "1000000_sleepers_compact_late_p50", "us"), None, "", None, 200, False),
    ("- late, p99, us", key("weft", "R6_timers", "1000000_sleepers_compact_late_p99", "us"), None, "", None, 5000, False),
]


def table_promises():
    """`virtual` never notices that its calls block, and its other columns are those of plain threads."""
    for name in ("virtual", "virtual, 1 thread"):
        yield (f"article's table, {name}: block, ms", key("weft", "R1_table", f"{name}:block", "ms"), None, "", None, 1050,
               False)
    for row, threads in (("virtual", 2), ("default", 2), ("virtual, 1 thread", 1)):
        for column in COLUMNS[2:]:
            yield (f"- {row}: {column}, ms", key("weft", "R1_turns", f"{row}:{column}", "ms"),
                   key("weft", "R1_turns", f"{threads} plain threads:{column}", "ms"), f"{threads} plain threads", 1.05,
                   None, False)


def echo_promises():
    for count in (1000, 10000):
        ours = key("weft", "R7_echo", f"1core_{count}conn", "req/s")
        for program, name, ratio in (("epollserver", "raw epoll", 0.85), ("go", "Go", 1.0), ("tokio", "Tokio", 1.0)):
            yield (f"echo, {count:,} connections, requests/s", ours,
                   key(program, "R7_echo", f"1core_{count}conn", "req/s"), name, ratio, None, True)
        cpu = f"1core_{count}conn_server_cpu"
        yield ("- CPU of the server a request, us", key("weft", "R7_echo", cpu, "us/req"),
               key("epollserver", "R7_echo", cpu, "us/req"), "raw epoll", 1 / 0.85, None, False)


def judge(figures, promise):
    """The cells of one row. Without a ratio or a figure that was promised it is there for comparison."""
    work, ours, beside, name, ratio, most, is_rate = promise
    value = figures.find(*ours)
    other = figures.find(*beside) if beside else None
    wanted = "at least" if is_rate else "at most"
    if other is not None and ratio is not None:
        got = figures.ratio(ours, beside)
        is_kept = got is not None and (got >= ratio if is_rate else got <= ratio)
        cells = [f"{name} {show(other)}", show(got), f"{wanted} {ratio:.3g} x"]
    elif other is not None and most is None:
        return [work, show(value), f"{name} {show(other)}", show(figures.ratio(ours, beside)), "", "-"]
    else:
        is_kept = value is not None and most is not None and value <= most
        cells = [f"{name}: not measured" if beside else "", "", f"{wanted} {show(most)}" if most else ""]
    verdict = "-" if value is None or (other is None and most is None) else "ok" if is_kept else "NOT"
    return [work, show(value), *cells, verdict]


def speed_table(figures):
    rows = [judge(figures, promise) for promise in [*PROMISES, *table_promises(), *echo_promises()]]
    table("What was promised", ["work", "weft", "beside it", "ratio", "promised", ""],
          [row for row in rows if row[1] != "-" or row[2] not in ("", f"{row[2].split(':')[0]}: not measured")])


# ---- the program ------------------------------------------------------------------------------------------------

def allow_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = hard if hard != resource.RLIM_INFINITY else 200000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
    return max(soft, limit)


def be_nice(value):
    try:
        os.nice(value)
    except OSError as error:
        say(f"--nice {value}: {error}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=os.environ.get("BENCH_PEERS"), help="sources of the peers' programs")
    parser.add_argument("--libs", default=os.environ.get("BENCH_LIBS"),
                        help="checkouts of libdill, neco and minicoro, by these names")
    parser.add_argument("--ours", default=os.path.join(HERE, "..", "build", "release", "bin"))
    parser.add_argument("--work", default=os.path.join(HERE, "..", "build", "peers"), help="where peers are built")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--groups", default=",".join(GROUPS), type=lambda text: text.split(","))
    parser.add_argument("--nice", type=int, default=0, help="below 0: before whatever else runs here (as root)")
    parser.add_argument("--long", action="store_true", help="also the rows of r1 that take a minute each")
    parser.add_argument("--out", help="append all lines to this file")
    parser.add_argument("--read", nargs="+", help="measure nothing")
    return parser.parse_args()


def main():
    args = arguments()
    unknown = set(args.groups) - set(GROUPS)
    if unknown or args.rounds < 1:
        sys.exit(f"groups are {','.join(GROUPS)}; at least one round")
    if args.read:
        figures = Figures(None)
        for path in args.read:
            figures.read(path)
    else:
        args.connections = [n for n in (1000, 10000) if allow_files() >= FILES_WANTED or n < FILES_WANTED / 2]
        with open(args.out or os.devnull, "a", encoding="utf-8") as out:
            figures = Figures(out)
            peers = Peers(args.peers, args.libs, args.work)
            be_nice(args.nice)
            measure(args, peers, figures)
    article_tables(figures)
    speed_table(figures)


if __name__ == "__main__":
    main()
