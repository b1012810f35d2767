#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The progress bar of `submit --wait` and `wait`, on a pseudo-terminal, before a real broker and worker.

    cli_terminal.py BIN_DIR

Exits 1 with what was wrong.
"""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE_S = 120
JOBS = 40
BAR = re.compile(r"^\[#*-*\]  (\d+)/(\d+)  (\d+) failed(  [\d.]+/s)?(  \S+ left)?$")


class Screen:
    """What a terminal shows after some bytes, as far as our programs use one; and each bar that was drawn."""

    def __init__(self):
        self.lines, self.line, self.at, self.raw, self.held = [], "", 0, "", ""

    def feed(self, text):
        text, self.held = self.held + text, ""
        if text.endswith("\r"):  # it may be the first half of an end of line
            text, self.held = text[:-1], "\r"
        text = text.replace("\r\n", "\n")
        self.raw += text
        for token in re.findall(r"\033\[[\d;]*[A-Za-z]|.|\n", text, re.DOTALL):
            if token == "\r":
                self.at = 0
            elif token == "\n":
                self.lines.append(self.line)
                self.line, self.at = "", 0
            elif token == "\033[K":
                self.line = self.line[:self.at]
            elif token.startswith("\033"):
                pass  # colour
            else:
                self.line = self.line[:self.at] + token + self.line[self.at + 1:]
                self.at += 1

    def all(self):
        return self.lines + ([self.line] if self.line else [])


class Terminal:
    """A program whose stderr, and stdout unless that is a pipe, is a terminal of its own."""

    def __init__(self, argv, env, has_pipe=False):
        self.screen, self.out = Screen(), b""
        reader, writer = os.pipe()
        self.started = time.monotonic()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.close(reader)
            if has_pipe:
                os.dup2(writer, 1)
            os.execvpe(argv[0], argv, env)
        os.close(writer)
        self.fds = {self.fd, reader}

    def read_until(self, is_reached):
        until = time.monotonic() + PATIENCE_S
        while self.fds and not is_reached(self):
            ready = select.select(list(self.fds), [], [], max(0, until - time.monotonic()))[0]
            if not ready:
                raise SystemExit(f"nothing more came within {PATIENCE_S} s: {self.screen.raw!r}")
            for fd in ready:
                try:
                    data = os.read(fd, 65536)
                except OSError:
                    data = b""  # the other end of a pseudo-terminal is closed
                if not data:
                    self.fds.discard(fd)
                elif fd == self.fd:
                    self.screen.feed(data.decode())
                else:
                    self.out += data

    def end(self):
        """Its exit code."""
        self.read_until(lambda _: False)
        self.took_s = time.monotonic() - self.started
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


WRONG = []


def check(is_true, what, terminal):
    if not is_true:
        WRONG.append(what)
        print(f"wrong: {what}\n  screen: {terminal.screen.all()!r}\n  raw: {terminal.screen.raw!r}\n  out: {terminal.out!r}")


def submit(env, *more):
    return ["berth", "submit", "--array", f"1-{JOBS}", "--max-attempts", "1", "--wait", *more,
            "--", "sh", "-c", "sleep 0.05; test {} -ne 7"], env


def lines_are_whole_beside_the_bar(env):
    terminal = Terminal(*submit(env))
    code = terminal.end()
    check(code == 3, f"ended with {code}, not 3", terminal)
    lines = terminal.screen.all()
    ids = [line for line in lines if re.fullmatch(r"\d+", line)]
    ends = [line for line in lines if re.fullmatch(r"\d+ (completed|dead)", line)]
    bars = [line for line in lines if BAR.match(line)]
    check(len(ids) == JOBS and len(ends) == JOBS, f"{len(ids)} ids and {len(ends)} ends", terminal)
    check(len(bars) == 1 and f"  {JOBS}/{JOBS}  1 failed" in bars[0], f"bars left standing: {bars}", terminal)
    check(lines[-1] == f"berth: of {JOBS} jobs 1 are dead and 0 cancelled", f"last line {lines[-1]!r}", terminal)
    check(len(lines) == 2 * JOBS + 2, f"{len(lines)} lines", terminal)
    check("\033[31m1 failed\033[0m" in terminal.screen.raw, "no red", terminal)


def a_pipe_gets_data_alone_and_the_bar_is_drawn_ten_times_a_second(env):
    terminal = Terminal(*submit(env), has_pipe=True)
    code = terminal.end()
    check(code == 3, f"ended with {code}, not 3", terminal)
    lines = terminal.out.decode().splitlines()
    check(len(lines) == 2 * JOBS and all(re.fullmatch(r"\d+( completed| dead)?", line) for line in lines),
          "not only data in the pipe", terminal)
    drawn = terminal.screen.raw.count("[#") + terminal.screen.raw.count("[-")
    check(2 <= drawn <= terminal.took_s * 10 + 2, f"drawn {drawn} times in {terminal.took_s:.1f} s", terminal)
    counts = [int(found) for found in re.findall(rf"  (\d+)/{JOBS}  ", terminal.screen.raw)]
    check(counts == sorted(counts) and counts[-1] == JOBS, f"counts {counts}", terminal)
    check(len(terminal.screen.all()) == 2, "more than the bar and the last message", terminal)


def without_colour(env):
    terminal = Terminal(*submit(dict(env, NO_COLOR="1")), has_pipe=True)
    terminal.end()
    check("1 failed" in terminal.screen.raw and "\033[3" not in terminal.screen.raw, "colour with NO_COLOR", terminal)


def no_bar_where_it_would_be_noise(env):
    quiet = {"TERM=dumb": (dict(env, TERM="dumb"), ()), "no TERM": ({k: v for k, v in env.items() if k != "TERM"}, ()),
             "-q": (env, ("-q",))}
    for name, (environment, more) in quiet.items():
        terminal = Terminal(*submit(environment, *more), has_pipe=True)
        terminal.end()
        check("\r" not in terminal.screen.raw and "\033" not in terminal.screen.raw, f"a bar with {name}", terminal)
    argv, _ = submit(env)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode != 3 or "\r" in done.stderr:
        WRONG.append("a bar without a terminal")
        print(done)


def an_interrupt_ends_with_130_on_a_line_of_its_own(env):
    argv = ["berth", "submit", "--array", "1-3", "-d", "paused", "--wait", "--", "date"]
    terminal = Terminal(argv, env)
    terminal.read_until(lambda t: "0/3" in t.screen.raw)
    os.write(terminal.fd, b"\x03")
    code = terminal.end()
    check(code == 130, f"ended with {code}, not 130", terminal)
    check(terminal.screen.raw.endswith("\n"), "the bar's line was not ended", terminal)


def wait_shows_it_too(env):
    ids = subprocess.run(["berth", "submit", "--array", "1-5", "-d", "paused", "--", "date"], env=env, check=True,
                         stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S).stdout.split()
    terminal = Terminal(["berth", "wait", *ids], env)
    terminal.read_until(lambda t: "0/5" in t.screen.raw)
    subprocess.run(["berth", "cancel", *ids[:2]], env=env, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE_S)
    terminal.read_until(lambda t: "2/5" in t.screen.raw)
    subprocess.run(["berth", "cancel", *ids[2:]], env=env, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE_S)
    code = terminal.end()
    check(code == 4, f"ended with {code}, not 4", terminal)
    lines = terminal.screen.all()
    check(sorted(lines[:-1]) == sorted(f"{one} cancelled" for one in ids), "lines of the ends", terminal)
    check("  5/5  5 failed" in lines[-1], "the last bar", terminal)


def main():
    bin_dir = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="berth-terminal-") as folder:
        url = f"ipc://{folder}/broker"
        env = {"PATH": f"{bin_dir}:/usr/bin:/bin", "BERTH_URL": url, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        os.environ.pop("NO_COLOR", None)
        programs = []
        try:
            programs.append(subprocess.Popen([f"{bin_dir}/berthd", "--data", f"{folder}/data", "--listen", url],
                                             stderr=subprocess.DEVNULL))
            programs.append(subprocess.Popen([f"{bin_dir}/berth-worker", "--broker", url, "--allow-exec", "--capacity", "4",
                                              "--work-dir", folder], stderr=subprocess.DEVNULL))
            for words in (("set", "paused", "--limit", "1"), ("pause", "paused")):
                subprocess.run(["berth", "dispatcher", *words, "--connect-timeout", "60s"], env=env, check=True,
                               timeout=PATIENCE_S)
            lines_are_whole_beside_the_bar(env)
            a_pipe_gets_data_alone_and_the_bar_is_drawn_ten_times_a_second(env)
            without_colour(env)
            no_bar_where_it_would_be_noise(env)
            an_interrupt_ends_with_130_on_a_line_of_its_own(env)
            wait_shows_it_too(env)
        finally:
            for program in reversed(programs):
                program.send_signal(signal.SIGTERM)
            for program in reversed(programs):
                try:
                    program.wait(20)
                except subprocess.TimeoutExpired:
                    program.kill()
                    program.wait()
    return 1 if WRONG else 0


if __name__ == "__main__":
    sys.exit(main())
