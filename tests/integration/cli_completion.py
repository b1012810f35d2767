#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `berth completion` prints, at work in real shells, before a real broker.

    cli_completion.py BIN_DIR

bash and zsh run on a pseudo-terminal, and the key is pressed; fish says by itself what it would offer. A shell that is
not installed is passed over, bash apart. Exits 1 with what was wrong.
"""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

PATIENCE_S = 60

# What is typed before the key, and what stands there after it.
CASES = [
    ("berth subm", "berth submit "),
    ("berth dispatcher sh", "berth dispatcher show "),
    ("berth wor", "berth worker "),
    ("berth submit --max-a", "berth submit --max-attempts "),
    ("berth submit -q --each", "berth submit -q --each-line "),
    ("berth ls --state dea", "berth ls --state dead "),
    ("berth ls --state=dea", "berth ls --state=dead "),
    ("berth submit -d newsl", "berth submit -d newsletter "),
    ("berth submit --dispatcher=newsl", "berth submit --dispatcher=newsletter "),
    ("berth dispatcher pause newsl", "berth dispatcher pause newsletter "),
    ("berth submit --payload-file FOLDER/the-onl", "berth submit --payload-file FOLDER/the-only-file "),
    ("berth up --data FOLDER/a-fol", "berth up --data FOLDER/a-folder/"),
    ("berth submit -- a-program-of-ou", "berth submit -- a-program-of-ours "),
    ("berth submit -- cat FOLDER/the-onl", "berth submit -- cat FOLDER/the-only-file "),
    ("berth completion zs", "berth completion zsh "),
    ("berth nonsense x", "berth nonsense x"),
    ("berth submit --max-attempts ", "berth submit --max-attempts "),
]


class Shell:
    """One on a pseudo-terminal, in which ^X^R says what stands on the line, as <<LINE>>."""

    def __init__(self, argv, env, setup):
        self.said = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # What is typed while the shell does not look is left to it: ^R would be the terminal's own.
            mode = termios.tcgetattr(0)
            mode[3] &= ~(termios.ICANON | termios.IEXTEN | termios.ISIG | termios.ECHO)
            termios.tcsetattr(0, termios.TCSANOW, mode)
            os.execvpe(argv[0], argv, env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        for line in setup:
            self.send(line + "\n")
        self.send("PS1='re''ady> '\n")
        self.await_text(rb"ready> ")

    def send(self, text):
        os.write(self.fd, text.encode())

    def await_text(self, pattern):
        until = time.monotonic() + PATIENCE_S
        while True:
            found = re.search(pattern, self.said)
            if found:
                self.said = self.said[found.end():]
                return found
            if not select.select([self.fd], [], [], max(0, until - time.monotonic()))[0]:
                raise SystemExit(f"{pattern!r} did not come; what came: {self.said!r}")
            try:
                self.said += os.read(self.fd, 65536)
            except OSError:
                raise SystemExit(f"the shell has ended; it said {self.said!r}") from None

    def complete(self, typed):
        self.send(typed + "\t" + "\x18\x12")
        found = self.await_text(rb"<<(.*?)>>").group(1).decode()
        self.send("\x15")
        return found

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def bash(env):
    return Shell(["bash", "--noprofile", "--norc", "-i"], env, [
        "bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; PS1='$ '",
        """bind -x '"\\C-x\\C-r": printf "<<%s>>" "$READLINE_LINE"'""",
        "source <(berth completion bash)",
    ])


def zsh(env):
    return Shell(["zsh", "-f", "-i"], env, [
        "unsetopt beep zle_bracketed_paste; PS1='$ '; autoload -Uz compinit && compinit -u -D",
        "said() { print -rn -- \"<<$BUFFER>>\" }; zle -N said; bindkey '^X^R' said; bindkey '^U' kill-whole-line",
        "source <(berth completion zsh)",
    ])


class Fish:
    """Offers are asked from `complete -C`; a line with one offer becomes that."""

    def __init__(self, env):
        self.env = env

    def complete(self, typed):
        done = subprocess.run(["fish", "--no-config", "-c", 'berth completion fish | source; complete -C "$argv[1]"', typed],
                              env=self.env, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=True)
        offers = {line.split("\t")[0] for line in done.stdout.splitlines()}
        if len(offers) != 1:
            return typed
        before = typed[:typed.rfind(" ") + 1]
        offer = offers.pop()
        return before + offer + ("" if offer.endswith("/") else " ")

    def end(self):
        pass


def try_all(name, shell, folder):
    wrong = 0
    for typed, wanted in CASES:
        typed, wanted = typed.replace("FOLDER", folder), wanted.replace("FOLDER", folder)
        found = shell.complete(typed)
        until = time.monotonic() + PATIENCE_S
        while found == typed != wanted and "newsl" in typed and time.monotonic() < until:
            found = shell.complete(typed)  # the broker is given half a second, which a busy machine may take
        if found != wanted:
            wrong += 1
            print(f"{name}: '{typed}' became '{found}', not '{wanted}'")
    shell.end()
    print(f"{name}: {len(CASES)} lines, {wrong} wrong")
    return wrong


def without_a_broker(env):
    """The key may be pressed without one, and nothing is said."""
    started = time.monotonic()
    done = subprocess.run(["berth", "completion", "words", "--", "submit", "-d", ""], env=env, timeout=PATIENCE_S,
                          capture_output=True, text=True, check=False)
    if (done.returncode, done.stdout) != (0, "") or time.monotonic() - started > 10:
        print(f"without a broker: {done}")
        return 1
    return 0


def main():
    bin_dir = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="berth-completion-") as folder:
        os.mkdir(os.path.join(folder, "a-folder"))
        open(os.path.join(folder, "the-only-file"), "w", encoding="utf-8").close()
        program = os.path.join(folder, "a-program-of-ours")
        with open(program, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n")
        os.chmod(program, 0o755)
        url = f"ipc://{folder}/broker"
        env = {"PATH": f"{bin_dir}:{folder}:/usr/bin:/bin", "BERTH_URL": url, "HOME": folder, "TERM": "xterm",
               "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
        wrong = without_a_broker(env)
        broker = subprocess.Popen([os.path.join(bin_dir, "berthd"), "--data", os.path.join(folder, "data"), "--listen", url],
                                  stderr=subprocess.DEVNULL)
        try:
            subprocess.run(["berth", "dispatcher", "set", "newsletter", "--limit", "1", "--connect-timeout", "60s"],
                           env=env, timeout=PATIENCE_S, check=True)
            wrong += try_all("bash", bash(env), folder)
            if shutil.which("zsh"):
                wrong += try_all("zsh", zsh(env), folder)
            if shutil.which("fish"):
                wrong += try_all("fish", Fish(env), folder)
        finally:
            broker.kill()
            broker.wait()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
