#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What scripts rely on, before a real broker and worker: the members of each JSON document, and each exit code.

    cli_contract.py BIN_DIR

A document has exactly the members of the table below, its first one is `schema`, and berth(1) names them all. A command
that fails says why in one line on stderr, and on stdout nothing that looks like an answer. Exits 1 with what was wrong.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE_S = 120
PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/man/berth.1")

JOB = """id dispatcher handler argv state reason attempt max_attempts priority key group parent submitted_at run_at
    started_at finished_at worker progress result error context array_index line deadline_at queue_timeout_ms backoff_ms
    backoff_max_ms unique after"""
DISPATCHER = """name limit effective_limit parent paused running ready scheduled retrying dead completed_total
    oldest_ready_seconds max_attempts backoff_ms backoff_max_ms timeout_ms grace_ms weight group_limit rate burst max_queued
    hold on_lost jitter queue_timeout_ms deadline_ms retention_ms retention_count changed_at changed_by remark"""
SCHEDULE = """name cron tz overlap catch_up paused next_at last_at last_result last_message last_job dispatcher handler argv
    priority group unique on_conflict delay_ms max_attempts timeout_ms queue_timeout_ms deadline_ms backoff_ms backoff_max_ms context
    changed_at changed_by"""
WORKER = "name state capacity running suspended cores handlers software silent_ms lease_left_ms held"
CAUSE = "kind reason count job at group handler worker in_use limit since next_at awaited"
LIMIT = "name limit in_use paused rate token_wait_ms group_limit max_queued queued"
HOLDER = "job attempt dispatcher worker since held"
RESULT = "exit_code stdout stderr stdout_truncated stderr_truncated payload"

# Of a document its members; of a list those of an item, behind `*`.
SCHEMAS = {
    "berth.job/1": JOB,
    "berth.jobs/1": "*" + JOB,
    "berth.dispatcher/1": DISPATCHER,
    "berth.dispatchers/1": "*" + DISPATCHER,
    "berth.schedule/1": SCHEDULE,
    "berth.schedules/1": "*" + SCHEDULE,
    "berth.workers/1": "*" + WORKER,
    "berth.submitted/1": "*id existing state",
    "berth.waited/1": "*id state",
    "berth.cancelled/1": "*id error",
    "berth.retried/1": "*id error",
    "berth.discarded/1": "*id error",
    "berth.logs/1": "id state attempt stdout stderr stdout_truncated stderr_truncated",
    "berth.explanation/1": """id dispatcher state causes more limits holders holders_total full_groups
        full_groups_total""",
    "berth.purged/1": "name cancelled",
    "berth.removed/1": "name",
    "berth.broker/1": "version epoch uptime_seconds recovery jobs workers stale_reports wal_bytes",
}
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")


def fail(text):
    sys.exit(f"cli_contract: {text}")


def have(what, found, wanted):
    wanted = set(wanted.split())
    if set(found) != wanted:
        fail(f"{what} has {sorted(set(found) - wanted)} too many and lacks {sorted(wanted - set(found))}")


class Berth:
    def __init__(self, bin_dir, url):
        self.program = f"{bin_dir}/berth"
        self.env = {"PATH": "/usr/bin:/bin", "BERTH_URL": url, "LC_ALL": "C.UTF-8"}
        self.seen = set()

    def run(self, code, *words):
        """Its stdout; it ends with `code`, and says why if that is a failure."""
        done = subprocess.run([self.program, *words], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
        if done.returncode != code:
            fail(f"berth {' '.join(words)}: ended with {done.returncode}, not {code}: {done.stderr}")
        if code in (1, 2, 5, 6, 69, 75) and not re.fullmatch(r"berth: [^\n]+\n", done.stderr):
            fail(f"berth {' '.join(words)}: says not in one line why: {done.stderr!r}")
        self.err = done.stderr
        return done.stdout

    def document(self, schema, *words, code=0):
        text = self.run(code, "--json", *words)
        found = json.loads(text)
        if list(found)[0] != "schema" or found["schema"] != schema or not text.endswith("}\n"):
            fail(f"berth {' '.join(words)}: not a document {schema}: {text}")
        members = SCHEMAS[schema]
        if members.startswith("*"):
            have(schema, found, "schema items next")
            for item in found["items"]:
                have(f"an item of {schema}", item, members[1:])
        else:
            have(schema, found, "schema " + members)
        self.seen.add(schema)
        return found

    def fails(self, code, sentence, *words):
        out = self.run(code, *words)
        if out != "" or sentence not in self.err:
            fail(f"berth {' '.join(words)}: printed {out!r} and said {self.err!r}, not '{sentence}'")


def check_times(document):
    for name, value in document.items():
        if name.endswith("_at") and value is not None and not TIME.match(value):
            fail(f"{name} is {value}")


def documents(berth):
    berth.document("berth.dispatcher/1", "dispatcher", "set", "mail", "--limit", "2")
    berth.run(0, "dispatcher", "set", "shut", "--limit", "0")
    one = berth.document("berth.submitted/1", "submit", "-d", "mail", "--wait", "--", "echo", "hello")["items"][0]
    if one["state"] != "completed" or one["existing"]:
        fail(f"the first job is {one}")
    first = str(one["id"])
    job = berth.document("berth.job/1", "show", first)
    check_times(job)
    have("result", job["result"], RESULT)
    if job["result"]["stdout"] != "hello\n" or job["error"] is not None or job["attempt"] != 1:
        fail(f"the job is {job}")
    berth.document("berth.jobs/1", "ls", "-n", "1")
    berth.document("berth.waited/1", "wait", first)
    berth.document("berth.logs/1", "logs", first)

    dead = berth.document("berth.submitted/1", "submit", "-d", "mail", "--max-attempts", "1", "--wait", "--", "false", code=3)
    dead = str(dead["items"][0]["id"])
    error = berth.document("berth.job/1", "show", dead)["error"]
    have("error", error, "kind message")
    if error["kind"] != "exit":
        fail(f"the error is {error}")
    berth.document("berth.retried/1", "retry", dead)
    berth.run(3, "wait", dead)
    berth.document("berth.discarded/1", "discard", dead)

    waits = berth.run(0, "submit", "-d", "shut", "-q", "--", "true").strip()
    why = berth.document("berth.explanation/1", "explain", waits)
    have("a cause", why["causes"][0], CAUSE)
    have("a limit", why["limits"][0], LIMIT)
    if why["causes"][0]["limit"] != 0 or why["causes"][0]["in_use"] != 0 or why["limits"][0]["max_queued"] is not None:
        fail(f"the explanation is {why}")
    berth.document("berth.explanation/1", "explain", "-d", "shut")
    berth.document("berth.cancelled/1", "cancel", waits)
    berth.document("berth.waited/1", "wait", waits, code=4)

    runs = berth.run(0, "submit", "-d", "mail", "-q", "--", "sleep", "600").strip()
    while berth.document("berth.job/1", "show", runs)["state"] != "running":
        time.sleep(0.02)
    berth.run(0, "dispatcher", "set", "mail", "--limit", "1")
    behind = berth.run(0, "submit", "-d", "mail", "-q", "--", "true").strip()
    holders = berth.document("berth.explanation/1", "explain", behind)["holders"]
    have("a holder", holders[0], HOLDER)
    if holders[0]["job"] != int(runs):
        fail(f"the holders are {holders}")
    berth.fails(1, "live job", "dispatcher", "rm", "mail")
    berth.document("berth.purged/1", "dispatcher", "purge", "mail", "--yes")
    berth.run(0, "cancel", runs)
    berth.run(4, "wait", runs, behind)

    berth.document("berth.dispatchers/1", "dispatcher", "ls")
    berth.document("berth.dispatcher/1", "dispatcher", "pause", "shut")
    berth.document("berth.removed/1", "dispatcher", "rm", "shut")
    if not berth.document("berth.workers/1", "worker", "ls")["items"]:
        fail("the worker is not listed")
    nightly = ("schedule", "set", "nightly", "--cron", "@daily", "--unique", "u", "--on-conflict", "existing")
    schedule = berth.document("berth.schedule/1", *nightly, "--", "true")
    check_times(schedule)
    if schedule["on_conflict"] != "existing":
        fail(f"the schedule is {schedule}")
    berth.document("berth.schedules/1", "schedule", "ls")
    berth.document("berth.schedule/1", "schedule", "pause", "nightly")
    berth.document("berth.removed/1", "schedule", "rm", "nightly")
    status = berth.document("berth.broker/1", "broker", "status")
    have("recovery", status["recovery"], "workers_missing left_ms")
    have("jobs", status["jobs"], "scheduled ready running suspended cancelling retrying completed dead cancelled")


def ended(berth, code, *words):
    """A job of one attempt, when it has ended."""
    done = berth.document("berth.submitted/1", "submit", "--max-attempts", "1", "--wait", *words, code=code)
    return berth.document("berth.job/1", "show", str(done["items"][0]["id"]))


def results(berth):
    """What the last attempt leaves, and of which kind its error is."""
    for kind, exit_code, *words in (("exit", 7, "--", "sh", "-c", "exit 7"), ("signal", 137, "--", "sh", "-c", "kill -9 $$"),
                                    ("exit", 127, "--", "no-such-program"), ("exit", 126, "--", "/etc/passwd"),
                                    ("timeout", 143, "--timeout", "200ms", "--", "sleep", "600")):
        job = ended(berth, 3, *words)
        found = (job["state"], job["error"]["kind"], job["result"]["exit_code"])
        if found != ("dead", kind, exit_code) or not job["error"]["message"]:
            fail(f"{words}: {job}")
    if ended(berth, 0, "--payload", "on stdin", "--", "cat")["result"]["stdout"] != "on stdin":
        fail("the payload did not come on stdin")
    long = ended(berth, 0, "--", "sh", "-c", "yes | head -c 100000; printf '\\377' >&2")["result"]
    if not long["stdout_truncated"] or len(long["stdout"]) != 65536 or long["stderr"] != "\ufffd":
        fail(f"of 100,000 bytes {len(long['stdout'])} are kept, and stderr is {long['stderr']!r}")


def states(berth):
    def state(*words):
        job = berth.run(0, "submit", "-q", *words).strip()
        return job, lambda: berth.document("berth.job/1", "show", job)

    def await_state(show, wanted):
        until = time.monotonic() + PATIENCE_S
        while show()["state"] != wanted:
            if time.monotonic() > until:
                fail(f"never {wanted}: {show()}")
            time.sleep(0.02)
        return show()

    later, show = state("--delay", "1h", "--", "true")
    job = await_state(show, "scheduled")
    if job["run_at"] is None or job["attempt"] != 0 or job["started_at"] is not None:
        fail(f"a job that is to run later is {job}")
    failed, show = state("--backoff", "1h", "--backoff-max", "1h", "--", "false")
    job = await_state(show, "retrying")
    if job["attempt"] != 1 or job["error"]["kind"] != "exit" or job["finished_at"] is not None:
        fail(f"a job that is to run again is {job}")
    berth.run(0, "dispatcher", "set", "brief", "--limit", "1", "--grace", "500ms")
    stubborn, show = state("-d", "brief", "--", "sh", "-c", "trap '' TERM; sleep 600 & wait; wait")
    await_state(show, "running")
    berth.run(0, "cancel", later, failed, stubborn)
    await_state(show, "cancelling")
    berth.run(4, "wait", later, failed, stubborn)
    if show()["state"] != "cancelled" or show()["finished_at"] is None:
        fail(f"a cancelled job is {show()}")


def exit_codes(berth):
    berth.run(0, "dispatcher", "set", "queue", "--limit", "0", "--max-queued", "1")
    berth.run(0, "submit", "-d", "queue", "--key", "k", "--", "true")
    berth.run(0, "submit", "-d", "queue", "--key", "k", "--", "true")
    berth.fails(1, "key", "submit", "-d", "queue", "--key", "k", "--", "false")
    berth.fails(6, "max_queued", "submit", "-d", "queue", "--", "true")
    unique = berth.run(0, "submit", "--unique", "u", "--delay", "1h", "-q", "--", "true").strip()
    berth.fails(1, "has this key", "submit", "--unique", "u", "--", "true")
    if berth.run(0, "submit", "--unique", "u", "--on-conflict", "existing", "-q", "--", "true").strip() != unique:
        fail("the existing job is another one")
    berth.run(124, "wait", unique, "--timeout", "50ms")
    berth.run(0, "cancel", unique)
    berth.fails(1, "it is cancelled", "cancel", unique)
    berth.run(4, "wait", unique)

    berth.fails(5, "nowhere", "submit", "-d", "nowhere", "--", "true")
    for words in (("show", "999999"), ("wait", "999999"), ("cancel", "999999"), ("retry", "999999"), ("discard", "999999"),
                  ("explain", "999999"), ("logs", "999999"), ("submit", "--after", "999999", "--", "true")):
        berth.fails(5, "999999", *words)
    for words in (("dispatcher", "show"), ("dispatcher", "pause"), ("dispatcher", "rm"), ("schedule", "pause"),
                  ("schedule", "rm"), ("worker", "gone", "--yes"), ("explain", "-d"), ("dispatcher", "purge", "--yes"),
                  ("retry", "-d"), ("discard", "-d"), ("ls", "-d")):
        berth.fails(5, "nobody", *words, "nobody")
    berth.fails(5, "needs a limit", "dispatcher", "set", "new", "--max-attempts", "2")
    berth.fails(5, "nowhere", "dispatcher", "set", "new", "--limit", "1", "--parent", "nowhere")
    berth.fails(5, "needs a cron expression", "schedule", "set", "x", "--", "true")
    for sentence, *words in (("--priority: '101'", "submit", "--priority", "101", "--", "true"),
                             ("--state", "ls", "--state", "runing"),
                             ("cron", "schedule", "set", "x", "--cron", "61 * * * *", "--", "true"),
                             ("--yes", "dispatcher", "purge", "queue"), ("submit", "submt"),
                             ("0", "show", "0"), ("--connect-timeout: '3'", "ls", "--connect-timeout", "3")):
        berth.fails(2, sentence, *words)
    berth.fails(1, "built in", "dispatcher", "rm", "default")
    berth.fails(2, "stands below it", "dispatcher", "set", "queue", "--parent", "queue")
    berth.env["BERTH_URL"] = "tcp://127.0.0.1:1"
    berth.fails(69, "127.0.0.1:1", "ls", "--connect-timeout", "100ms")


def members_are_documented():
    with open(PAGE, encoding="utf-8") as page:
        words = set(re.findall(r"[a-z_]+(?:\.[a-z]+/1)?", page.read().split(".Sh JSON")[1].split(".Sh ENVIRONMENT")[0]))
    for schema, members in SCHEMAS.items():
        missing = {schema, *members.strip("*").split()} - words
        if missing:
            fail(f"berth(1) does not name {sorted(missing)} of {schema}")
    missing = set(f"{CAUSE} {LIMIT} {HOLDER} {RESULT}".split()) - words
    if missing:
        fail(f"berth(1) does not name {sorted(missing)}")


def main():
    bin_dir = os.path.abspath(sys.argv[1])
    members_are_documented()
    with tempfile.TemporaryDirectory(prefix="berth-contract-") as folder:
        url = f"ipc://{folder}/broker"
        berth = Berth(bin_dir, url)
        programs = []
        try:
            programs.append(subprocess.Popen([f"{bin_dir}/berthd", "--data", f"{folder}/data", "--listen", url],
                                             stderr=subprocess.DEVNULL))
            programs.append(subprocess.Popen([f"{bin_dir}/berth-worker", "--broker", url, "--allow-exec", "--capacity", "4",
                                              "--work-dir", folder], stderr=subprocess.DEVNULL))
            berth.run(0, "broker", "status", "--connect-timeout", "60s")
            documents(berth)
            results(berth)
            states(berth)
            exit_codes(berth)
        finally:
            for program in reversed(programs):  # a worker that loses its broker first waits for it
                program.send_signal(signal.SIGTERM)
                try:
                    program.wait(20)
                except subprocess.TimeoutExpired:
                    program.kill()
                    program.wait()
    unseen = set(SCHEMAS) - berth.seen
    if unseen:
        fail(f"never shown: {sorted(unseen)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
