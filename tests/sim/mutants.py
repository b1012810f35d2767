#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves that the simulator can fail: breaks one rule of the protocol at a time and asserts that it is seen.

    mutants.py [--seeds N] [--keep DIR] [--markdown] [NAME...]      all of the table below, or those named
    mutants.py --fit                                                only whether their texts are there

Each mutant replaces one piece of text in a copy of the sources, builds berth-sim from it and runs seeds from 1 on until
one fails. A mutant that survives its seeds, or whose text is not found exactly once, makes this exit 1. The tree itself
is never written to. With --keep the copy stays there for the next time; --markdown prints docs/SIMULATION.md's table.
"""
import argparse
import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

SEEDS_MAX = 20000
FOLDERS = ("base", "broker", "client", "cmake", "proto", "runtime", "tests/sim", "tests/support", "worker")


class Mutant(NamedTuple):
    name: str
    file: str
    text: str
    replacement: str
    why: str              # what goes wrong when the rule is broken
    args: tuple = ()      # further arguments of berth-sim


# First what the model of the protocol must and does catch (its section 12), as far as it applies here; then bugs that
# this code once had; then further rules of the core.
MUTANTS = [
    Mutant("welcome before the sync", "broker/core/worker/hello.c",
           "    session->peer = hello->peer;\n    batch_add(core, BERTH_RECORD_SESSION)->session = session->record;\n",
           "    batch_add(core, BERTH_RECORD_SESSION)->session = session->record;\n"
           "    session_become_joined(core, session, hello->peer, 1);\n    welcome(core, session);\n",
           "a broker that comes back does not know a process that runs something"),
    Mutant("grants of older joins taken", "worker/core/agent_session.c",
           "if (!is_open || session != agent->session || epoch != agent->epoch || join != agent->join)",
           "if (!is_open || session != agent->session)",
           "what was not in the list runs after all"),
    Mutant("limits not full at restart", "broker/core/match/match.c",
           "    if (core->unresolved && !recovery_allows(core, dispatcher)) {\n", "    if (false) {\n",
           "jobs and slots of the workers that are to come back are given away"),
    Mutant("each worker's slots freed by itself", "broker/core/match/match.c",
           "    if (core->unresolved && !recovery_allows(core, dispatcher)) {\n",
           "    if (core->unresolved && !core->cores) {\n",
           "grants begin when the first worker is back, and nobody knows what the others run"),
    Mutant("a copied grant taken", "worker/core/agent.c",
           "    if (event->orders.number <= agent->taken)\n        return;\n    if (event->orders.number > agent->taken + 1) {\n",
           "    if (event->orders.number <= agent->taken)\n        agent->taken = event->orders.number - 1;\n"
           "    if (event->orders.number > agent->taken + 1) {\n",
           "an attempt that has ended and is acknowledged runs again"),
    Mutant("a report acknowledged before the sync", "broker/core/life/attempt.c",
           "    write_outcome(core, job_at(&core->jobs, attempt->job), end, &last);\n",
           "    write_outcome(core, job_at(&core->jobs, attempt->job), end, &last);\n"
           "    outbox_ack(core, attempt->session, attempt->by_id.id, false);\n",
           "a crash forgets the end, and so has the worker: a finished job runs again"),
    Mutant("a submit acknowledged before the sync", "broker/core/submit/submit.c",
           "    if (must_wait)\n", "    if (must_wait && event->count > BERTH_SUBMIT_JOBS_MAX)\n",
           "a crash forgets a job that was acknowledged"),
    Mutant("a cancel sent before it is stored", "broker/core/life/cancel.c",
           "    if (!was_asked)\n        batch_add",
           "    if (job->state == JOB_RUNNING) {\n"
           "        extern void outbox_cancel(struct berth_core *, struct attempt *);\n"
           "        outbox_cancel(core, job->attempt);\n    }\n    if (!was_asked)\n        batch_add",
           "a crash forgets the cancel, and a job ends that nobody cancelled"),
    Mutant("attempt ids without the epoch", "broker/core/match/match.c",
           "uint64_t id = core->opts.epoch << 40 | ++core->attempt_counter;",
           "uint64_t id = (uint64_t)1 << 40 | ++core->attempt_counter;",
           "two attempts have one id"),
    Mutant("join lists of another epoch accepted", "broker/core/worker/join.c",
           "    if (join->epoch != core->opts.epoch) {\n", "    if (join->epoch > core->opts.epoch) {\n",
           "a list that a worker built for an earlier broker passes for what it runs now"),
    Mutant("expiry before the kill", "broker/core/worker/session.c",
           "set_expiry(core, session, core->now_ms + session->record.lease_ms);\n    offer_update_room",
           "set_expiry(core, session, core->now_ms + core->opts.worker_lease_ms);\n    offer_update_room",
           "slots are given away while their attempts are still being killed"),
    Mutant("lease counted from the answer", "worker/core/agent_session.c",
           "    if (!reading || reading->at_ms + agent->lease_ms <= agent->lease_end_ms)\n        return;\n"
           "    agent->lease_end_ms = reading->at_ms + agent->lease_ms;\n",
           "    if (!reading || agent->now_ms + agent->lease_ms <= agent->lease_end_ms)\n        return;\n"
           "    agent->lease_end_ms = agent->now_ms + agent->lease_ms;\n",
           "an answer that was long under way makes the worker's lease outlive the broker's"),
    Mutant("expiry kept across a restart", "broker/core/worker/session.c",
           "        set_expiry(core, session, core->now_ms + session->record.lease_ms);\n    }\n",
           "        set_expiry(core, session, core->now_ms + session->record.lease_ms / 4);\n    }\n",
           "a worker that is cut off is taken for dead as if no time had passed without a broker"),
    Mutant("hold without a stored start", "broker/core/worker/hold.c",
           "    if (attempt->dispatcher->is_held || has_start || has_rate)\n        attempt->state = ATTEMPT_STARTING;\n"
           "    if (attempt->dispatcher->is_held || has_start)\n",
           "    if (has_start || has_rate)\n        attempt->state = ATTEMPT_STARTING;\n    if (has_start)\n",
           "a broker that comes back does not know what a lost worker may still run"),
    Mutant("hold without a stored start, by what follows", "broker/core/worker/hold.c",
           "        write_start(core, attempt);\n    if (attempt->state == ATTEMPT_STARTING)\n        return;\n",
           "        job_at(&core->jobs, attempt->job)->flags |= JOB_START_STORED;\n    if (has_rate)\n        return;\n",
           "a broker that comes back does not know what a lost worker may still run", ("--no-promises",)),
    Mutant("what is held is given back with the lease", "broker/core/worker/gone.c",
           "        if (hold_may_still_run(attempt))\n", "        if (false)\n",
           "a host that stood still goes on beside its successor"),
    # bugs that there were
    Mutant("a repeat waits for the batch after the refused one", "broker/core/batch.c",
           "    refuse_submits(core, &core->pending_open);\n", "",
           "the repeat of a submit that was refused is answered as stored"),
    Mutant("acknowledgements within the first join dropped", "broker/core/worker/outbox.c",
           "    bool is_heard = session->state == SESSION_LIVE || session->state == SESSION_RECOVERING;\n",
           "    bool is_heard = session->state == SESSION_LIVE;\n",
           "an attempt that has ended stays with its worker: a drain never ends"),
    Mutant("a death proves nothing about another session of the child", "broker/core/worker/gone.c",
           "    return session ? session : session_find_child(core, gone->nonce, gone->child);\n",
           "    return gone->session ? session : session_find_child(core, gone->nonce, gone->child);\n",
           "what such a session was given is held for ever"),
    # further rules
    Mutant("jobs in doubt begin where nothing is limited", "broker/core/match/lane.c",
           "    return is_in_doubt ? level->first_new : level->head;\n", "    return level->head;\n",
           "a job is started that a missing worker runs"),
    Mutant("limits of others count as certain", "broker/core/worker/recovery.c",
           "        if (!at->is_held && dispatcher_limit(core, at) != UINT64_MAX)\n", "        if (false)\n",
           "slots are given away that missing workers have"),
    Mutant("a hello of any epoch taken", "broker/core/worker/hello.c",
           "    if (hello->epoch != core->opts.epoch) {\n", "    if (hello->epoch > core->opts.epoch || !hello->epoch) {\n",
           "a hello that survived in a socket tells the next broker that a busy session is empty"),
    Mutant("a repeated join taken anew", "broker/core/worker/join.c",
           "session->state == SESSION_LIVE && join->join <= session->join",
           "session->state == SESSION_LIVE && join->join < session->join",
           "what was granted since the list was built is taken for never started"),
    Mutant("nothing cut off by a join", "broker/core/worker/join.c",
           "    release_unlisted(core, session, join);\n", "",
           "a grant that was lost under way holds its job and its slot for ever"),
    Mutant("an attempt whose end is stored is adopted", "broker/core/worker/join.c",
           "return waits && line->number > job->attempt_number && !after_waits(core, job);",
           "return waits && line->number >= job->attempt_number && !after_waits(core, job);",
           "a failure is counted twice, and the newer attempt becomes stale"),
    Mutant("a retry granted before its sync", "broker/core/life/attempt.c",
           "    job_move(core, index, JOB_SETTLING, JOB_AT_TAIL);\n",
           "    job_move(core, index, JOB_SETTLING, JOB_AT_TAIL);\n"
           "    if (record->type == BERTH_RECORD_RETRY && record->retry.state == BERTH_READY) {\n"
           "        job_move(core, index, JOB_READY, JOB_AT_OLD_PLACE);\n        return;\n    }\n",
           "two attempts of a job are under way at once"),
    Mutant("a queued job cancelled while a worker is missing", "broker/core/life/cancel.c",
           "    if (job_is_queued(job) && !core->unresolved) {\n", "    if (job_is_queued(job)) {\n",
           "a job ends that the missing worker runs"),
    Mutant("a closed session believed", "broker/core/worker/join.c",
           "    if (!session_is_known(session)) {\n        session_send_fenced(core, join->peer",
           "    if (!session) {\n        session_send_fenced(core, join->peer",
           "a list that was sent before a death adopts what is dead"),
    Mutant("gone of a closing session confirmed at once", "broker/core/worker/gone.c",
           "    gone_ok_when_stored(core, gone);\n}\n", "    send_gone_ok(core, gone);\n}\n",
           "the keeper forgets a proof that the broker has not stored"),
    Mutant("lost attempts use up tries", "broker/core/life/attempt.c",
           "    bool is_poison = attempt->blame == BLAME_CULPRIT && job->deaths >= SUSPECT_DEATHS_MAX;\n",
           "    bool is_poison = attempt->blame == BLAME_CULPRIT && job->deaths >= SUSPECT_DEATHS_MAX;\n    if (++job->failures >= attempts_allowed(core, job)) {\n"
           "        struct berth_attempt_record none = { .id = attempt->by_id.id };\n"
           "        write_end(core, job, job->flags & JOB_CANCEL_ASKED ? BERTH_CANCELLED : BERTH_DEAD, &none);\n"
           "        attempt_settle(core, attempt);\n        return;\n    }\n",
           "jobs are dead that never failed"),
    Mutant("suspicions not stored", "broker/core/life/attempt.c",
           "        .is_suspect = job->flags & JOB_IS_SUSPECT,\n", "        .is_suspect = false,\n",
           "the next broker runs suspects beside others"),
    Mutant("deaths counted for all that ran", "broker/core/worker/suspect.c",
           "            attempt->blame = BLAME_SUSPECT;\n", "            attempt->blame = BLAME_CULPRIT;\n",
           "jobs are dead of what another one did"),
    Mutant("neighbours blamed with the one that is named", "broker/core/worker/suspect.c",
           "        if (!gone->culprit)\n", "        if (gone->culprit != gone->attempts[i])\n",
           "who only stood beside runs alone"),
    Mutant("a process for suspects asked for once", "broker/core/worker/suspect.c",
           "    return session->alone_asked_ms && core->now_ms - session->alone_asked_ms < SUSPECT_ASK_WAIT_MS;\n",
           "    return session->alone_asked_ms && core->now_ms >= session->alone_asked_ms;\n",
           "a question that was lost on its way leaves a suspect waiting for ever"),
    Mutant("requests not recognised after a restart", "broker/core/submit/arrival.c",
           "    if (record->key.kind == BERTH_KEY_NONE)\n", "    if (record->key.kind != BERTH_KEY_IDEMPOTENCY)\n",
           "a submit that is sent again to the next broker is two jobs"),
    Mutant("keys not recognised after a restart", "broker/core/submit/arrival.c",
           "    if (record->key.kind == BERTH_KEY_NONE)\n", "    if (record->key.kind != BERTH_KEY_REQUEST)\n",
           "a user's key has two jobs"),
    Mutant("the report wins over a cancel", "broker/core/life/attempt.c",
           "    if (job->flags & JOB_CANCEL_ASKED) {\n        write_cancelled(core, job, last);\n        return;\n    }\n",
           "", "a job whose cancel was accepted completes"),
    Mutant("a slot kept by its report", "broker/core/life/attempt.c",
           "    if (attempt_has_slots(attempt))\n        limit_give(core, attempt);\n",
           "    if (attempt->state == ATTEMPT_SETTLING)\n        limit_give(core, attempt);\n",
           "slots leak"),
    Mutant("one slot too many", "broker/core/match/limit.c",
           "    if (dispatcher->running >= dispatcher_limit(core, dispatcher))\n",
           "    if (dispatcher->running > dispatcher_limit(core, dispatcher))\n",
           "more run than the limit"),
    Mutant("the limits above are not looked at", "broker/core/match/park.c",
           "    for (struct dispatcher *at = dispatcher; at; at = at->parent) {\n        if (limit_lack",
           "    for (struct dispatcher *at = dispatcher; at; at = NULL) {\n        if (limit_lack",
           "more run below a parent than it has"),
    Mutant("slots above are not given back", "broker/core/match/limit.c",
           "        for (struct dispatcher *at = dispatcher; at; at = at->parent) {\n            BERTH_ASSERT(at->running > 0);\n",
           "        for (struct dispatcher *at = dispatcher; at; at = NULL) {\n            BERTH_ASSERT(at->running > 0);\n",
           "slots of parents leak"),
    Mutant("a move leaves its slots behind", "broker/core/match/share.c",
           "    add_running(core, parent, dispatcher->running);\n", "",
           "the new parent counts too few"),
    Mutant("groups hold no places", "broker/core/match/limit.c",
           "        group_take(core, attempt->group);\n", "        attempt->group = NULL;\n",
           "more of a group run than its limit"),
    Mutant("tokens that are not taken", "broker/core/match/limit.c",
           "        dispatcher->tokens -= TOKEN_PARTS;\n", "",
           "more starts than the rate"),
    Mutant("buckets full at restart", "broker/core/match/limit.c",
           "    dispatcher->tokens = parts_loaded(core, dispatcher);\n",
           "    dispatcher->tokens = dispatcher_rate(dispatcher).burst * TOKEN_PARTS;\n",
           "a crash gives the burst again"),
    Mutant("the token of a slow rate stored once", "broker/core/match/limit.c",
           "        is_any |= write_token(core, dispatcher, attempt);\n",
           "        is_any |= !attempt && write_token(core, dispatcher, attempt);\n",
           "each restart gives a token more, of rates of less than one a minute"),
    Mutant("a start sent before its token is stored", "broker/core/worker/hold.c",
           "    if (attempt->dispatcher->is_held || has_start || has_rate)\n        attempt->state = ATTEMPT_STARTING;\n",
           "    if (attempt->dispatcher->is_held || has_start)\n        attempt->state = ATTEMPT_STARTING;\n",
           "a crash forgets that a token of a slow rate was taken"),
    Mutant("nobody is woken by a slot", "broker/core/match/limit.c",
           "            at->running--;\n            park_wake(core, at);\n", "            at->running--;\n",
           "who waits for a slot waits for ever"),
    Mutant("nobody is woken by a token", "broker/core/match/park.c",
           "        berth_heap_remove(&core->tokens, node);\n        park_wake(core, dispatcher);\n",
           "        berth_heap_remove(&core->tokens, node);\n",
           "who waits for a token waits for ever"),
    Mutant("a retry answered before its sync", "broker/core/life/ended.c",
           "        *ret_waits |= rc == 0;\n", "",
           "a crash forgets a retry that was answered"),
    Mutant("a completed job retried", "broker/core/life/ended.c",
           "    if (row->state != BERTH_DEAD && row->state != BERTH_CANCELLED) {\n",
           "    if (row->state < BERTH_COMPLETED) {\n",
           "what has completed runs again, or is said to be lost"),
    Mutant("a retried job keeps its failures", "broker/core/life/ended.c",
           "    record.failures = record.deaths = 0;\n", "",
           "it is dead again before its fresh tries are used up"),
    Mutant("a dispatcher removed while it has live jobs", "broker/core/dispatcher/removal.c",
           "    if (!live)\n        return NULL;\n", "    if (live < 3)\n        return NULL;\n",
           "jobs of a dispatcher that is not there"),
    Mutant("a discard answered before its sync", "broker/core/life/ended.c",
           "    *ret_waits = true;\n    if (is_being_discarded", "    if (is_being_discarded",
           "a crash brings back what was discarded"),
    Mutant("who asks for a retry twice is told that the job has gone", "broker/core/life/ended.c",
           "    bool is_first = item->state >= BERTH_COMPLETED;\n", "    bool is_first = true;\n",
           "a job that lived again and ended is said not to be there"),
    Mutant("unique keys not loaded", "broker/core/submit/arrival.c",
           "    int rc = rare_take(core, index, record);\n    if (rc < 0)\n        return rc;\n    if (!record->after",
           "    struct berth_job_record without = *record;\n    without.unique.bytes = 0;\n"
           "    int rc = rare_take(core, index, &without);\n    if (rc < 0)\n        return rc;\n    if (!record->after",
           "a key of a live job is given away after a restart"),
    Mutant("predecessors not loaded", "broker/core/submit/arrival.c",
           "    return after_take(core, index, record->after);\n", "    return 0;\n",
           "a job starts before those that it waits for have completed"),
    Mutant("a predecessor counts down when it is settled", "broker/core/life/attempt.c",
           "        if (ended != BERTH_COMPLETED)\n            after_on_failed(core, index);\n",
           "        if (ended != BERTH_COMPLETED)\n            after_on_failed(core, index);\n"
           "        else\n            after_on_completed(core, index);\n",
           "a job starts when the end before it may still be lost"),
    Mutant("who waits for a failed job is not felled", "broker/core/life/attempt.c",
           "        if (ended != BERTH_COMPLETED)\n            after_on_failed(core, index);\n",
           "        if (ended != BERTH_COMPLETED && ended != BERTH_DEAD)\n            after_on_failed(core, index);\n",
           "a job waits for one that has failed"),
    Mutant("clocks after the grants", "broker/core/core.c",
           "    job_clock_on_turn(core);\n", "",
           "a job starts when its time is over"),
    Mutant("a delay that ends too early", "broker/core/core.c",
           "->due_us > core->wall_us)", "->due_us > core->wall_us + 500000)",
           "a job starts before its time"),
    Mutant("a pause not looked at", "broker/core/match/limit.c",
           "    if (dispatcher_is_paused(dispatcher))\n", "    if (false)\n",
           "a dispatcher that is paused starts jobs"),
    Mutant("last come, first served", "broker/core/match/lane.c",
           "    uint32_t before = level->tail;\n", "    uint32_t before = 0;\n",
           "who came first waits for all who came later"),
    Mutant("what is handed back goes to the end", "broker/core/match/lane.c",
           "    if (place == JOB_AT_OLD_PLACE) {\n", "    if (place == JOB_AT_OLD_PLACE && !level->head) {\n",
           "who was lost waits again for all that came meanwhile"),
    Mutant("groups take no turns", "broker/core/match/lane.c",
           "    berth_list_push_back(&best->rank->turns, &best->turn_node);\n",
           "    berth_list_push_front(&best->rank->turns, &best->turn_node);\n",
           "a group with many jobs starves the others"),
    Mutant("priorities do not age", "broker/core/match/lane.c",
           "    return (int64_t)job->priority * AGE_S - waits_since_s(core, job);\n",
           "    return (int64_t)job->priority * AGE_S * 100 - waits_since_s(core, job);\n",
           "low priorities starve"),
    Mutant("priorities not looked at", "broker/core/match/lane.c",
           "    return (int64_t)job->priority * AGE_S - waits_since_s(core, job);\n",
           "    return (int64_t)job->priority - waits_since_s(core, job);\n",
           "what is urgent waits behind what is not"),
    Mutant("weights not looked at", "broker/core/match/share.c",
           "    return dispatcher->record.weight ? dispatcher->record.weight : 1;\n",
           "    return dispatcher->record.weight ? 1 : 1;\n",
           "who has three times the weight gets as much as the others"),
    Mutant("what runs does not count ahead", "broker/core/match/share.c",
           "           running * (uint64_t)top->usual_ms * SHARE_UNITS / weight;\n",
           "           running * (uint64_t)top->usual_ms / weight;\n",
           "slots that come back at once all go to one"),
    Mutant("newcomers begin with nothing", "broker/core/match/share.c",
           "        lift(&top->branch.used, top->parent->share_clock);\n", "        (void)top->branch.used;\n",
           "who comes late gets all until it has caught up"),
    Mutant("who waited first is next", "broker/core/match/share.c",
           "        if (is_first || had < least) {\n", "        if (is_first) {\n",
           "who asks most often gets most"),
    Mutant("slots handed out in the order in which they came back", "broker/core/match/park.c",
           "        if (depth_of(berth_container_of(node, struct dispatcher, hand_node)) < depth) {\n",
           "        if (depth_of(berth_container_of(node, struct dispatcher, hand_node)) > 100 + depth) {\n",
           "who waits low in the tree is passed over by one that waits further up"),
    Mutant("max_queued not looked at in time", "broker/core/submit/intake.c",
           "    return count[JOB_ARRIVING] + count[JOB_SCHEDULED] + count[JOB_READY] + count[JOB_RETRYING];\n",
           "    return count[JOB_SCHEDULED] + count[JOB_READY] + count[JOB_RETRYING];\n",
           "one batch brings as many jobs as it likes"),
    Mutant("one more than max_queued", "broker/core/submit/intake.c",
           "    if (queued >= queued_max)\n", "    if (queued > queued_max)\n",
           "more wait than may"),
    Mutant("an instant forgotten with the job that was refused", "broker/core/recur/recur.c",
           "    BERTH_MAP_FOREACH (node, &core->recurring_by_name)\n        go_back(core, of_name(node));\n", "",
           "a full disk drops the job of an instant, which then has none"),
    Mutant("an instant noted without its job", "broker/core/batch.c",
           "batch->records[i].type != BERTH_RECORD_SCHEDULE_DONE &&", "batch->records[i].type &&",
           "the note that an instant was dealt with is stored though its job is refused"),
    Mutant("a restart begins with the present", "broker/core/recur/recur.c",
           "    loaded.done_us = done->done_us;\n", "    loaded.done_us = INT64_C(1700000000000000);\n",
           "instants are dealt with twice, or never"),
    Mutant("overlap not looked at", "broker/core/recur/recur.c",
           "    return job_find(arg, job) != 0;\n", "    return job_find(arg, job) == UINT32_MAX;\n",
           "a job runs beside the one before it"),
    Mutant("ended attempts not listed", "worker/core/agent_table.c",
           "        ret_lines[count++] = line_of(of_id(node));\n    return count;\n",
           "        if (of_id(node)->state != AGENT_ENDED)\n            ret_lines[count++] = line_of(of_id(node));\n"
           "    return count;\n",
           "an end that was not acknowledged is taken for never started"),
    Mutant("a backoff beyond its maximum", "broker/core/life/backoff.c",
           "ceiling > max_ms / 2 ? max_ms : ceiling * 2;\n    if (ceiling > max_ms)\n        ceiling = max_ms;\n", "ceiling * 2;\n",
           "a job that failed often waits for hours"),
    Mutant("backoffs of jobs not looked at", "broker/core/life/attempt.c",
           "bool has_own = rare && rare->backoff_ms,", "bool has_own = rare && rare->backoff_ms && !rng,",
           "a job waits as long as its dispatcher says, not as it says itself"),
    Mutant("a backoff drawn where it is to be fixed", "broker/core/life/attempt.c",
           "settings->no_jitter ? NULL : &core->rng;", "settings->no_jitter && !rare ? NULL : &core->rng;",
           "without jitter a job is tried again too early"),
    Mutant("a snooze uses up a try", "broker/core/life/attempt.c",
           "    case BERTH_OUTCOME_SNOOZED: write_retry", "    case BERTH_OUTCOME_SNOOZED: job->failures++; write_retry",
           "jobs are dead that never failed"),
    Mutant("a timeout that ends too late", "worker/core/agent_table.c",
           "timeout_at_ms = now_ms + grant->timeout_ms;", "timeout_at_ms = now_ms + grant->timeout_ms * 2;",
           "an attempt takes twice the time that it may"),
    Mutant("a timeout is no failure", "broker/core/life/attempt.c",
           "    case BERTH_OUTCOME_FAILED_FOREVER:\n    case BERTH_OUTCOME_TIMED_OUT: write_failure(core, job, end, last); return;\n",
           "    case BERTH_OUTCOME_FAILED_FOREVER: write_failure(core, job, end, last); return;\n"
           "    case BERTH_OUTCOME_TIMED_OUT: write_retry(core, job, 0, last); return;\n",
           "a job that never ends in time runs for ever"),
    Mutant("timeouts of bodies that were read back forgotten", "broker/core/match/match.c",
           "                                                          record->timeout_ms, true) == 0);",
           "                                                          0, true) == 0);",
           "after a restart a job takes as long as it likes"),
    Mutant("force left to the handler", "worker/core/agent.c",
           "    if (!stuck || agent->now_ms < stuck->force_at_ms)\n", "    if (!stuck || agent->now_ms < stuck->force_at_ms + 30000)\n",
           "a handler that takes no notice of its cancel runs on"),
    Mutant("force not told", "broker/core/worker/outbox.c",
           ".is_forced = attempt->is_forced };", ".is_forced = attempt->is_forced && attempt->is_late };",
           "a cancel by force is one without"),
    Mutant("force given up with the attempt", "broker/core/life/attempt.c",
           "    bool is_cancelled = job->flags & JOB_CANCEL_ASKED;\n    if (!is_cancelled && job->flags & JOB_IN_SCOPE) {",
           "    bool is_cancelled = job->flags & JOB_CANCEL_STORED;\n    if (!is_cancelled && job->flags & JOB_IN_SCOPE) {",
           "what is handed back before its cancel is stored begins again, and is not forced"),
    Mutant("processes for suspects without a bound", "broker/core/worker/suspect.c",
           "session->alone_count >= SUSPECT_ALONE_MAX ||", "session->alone_count > SUSPECT_ALONE_MAX ||",
           "a worker is asked for more processes than its keeper starts, and no other one is"),
    Mutant("processes for suspects forgotten with the child", "broker/core/worker/suspect.c",
           "    if (is_worker(session) && has_alone(core))\n        adopt(core, session);\n", "",
           "a worker's next child is asked for as many again"),
    Mutant("processes of a child whose death is on its way", "broker/core/worker/suspect.c",
           "!alone->is_alone || !is_of_one_worker(alone, worker))", "!alone->is_alone || alone->worker || !is_of_one_worker(alone, worker))",
           "a worker's next child is asked for more while nobody knows that the last one is dead"),
    Mutant("a release wakes all", "broker/core/match/match.c",
           "    struct dispatcher *next = share_next(core, giver);\n    park_take(next);\n    serve(core, next, giver);\n    park_wake(core, giver);\n",
           "    struct berth_list_node *first;\n    while ((first = berth_list_first(&giver->waiting))) {\n"
           "        struct dispatcher *next = berth_container_of(first, struct dispatcher, wait_node);\n"
           "        park_take(next);\n        park_run(core, next);\n    }\n",
           "each slot that comes back has all look that wait for it"),
    Mutant("a release wakes before it has anything", "broker/core/match/match.c",
           "berth_list_is_empty(&giver->waiting) || limit_lack(core, giver) != LACK_NOTHING) {",
           "berth_list_is_empty(&giver->waiting) || (limit_lack(core, giver) != LACK_NOTHING && giver->looks % 2)) {",
           "who waits is looked at though nothing came back"),
    Mutant("ended jobs forgotten too early", "broker/store/store_mem_disk.c",
           ".oldest_us = disk->now_us - retention_us,", ".oldest_us = disk->now_us - retention_us / 2,",
           "what became of a job is not known any more, though it is to be"),
    Mutant("ended jobs kept too long", "broker/store/store_mem_disk.c",
           ".oldest_us = disk->now_us - retention_us,", ".oldest_us = disk->now_us - retention_us * 2,",
           "the history grows beyond what its settings say"),
    Mutant("one ended job too many", "broker/store/store_mem_disk.c",
           "    return kept > most ? kept - most : 0;", "    return kept > most + 1 ? kept - most - 1 : 0;",
           "the history grows beyond what its settings say"),
    Mutant("what may be repeated is forgotten", "broker/store/store_mem_disk.c",
           "has_key_of(disk, job, BERTH_KEY_REQUEST) || (!is_too_old", "has_key_of(disk, job, BERTH_KEY_NONE) || (!is_too_old",
           "whoever repeats a submit is answered with a job that nobody knows"),
    Mutant("children left behind", "broker/core/life/attempt.c",
           "        scope_on_over(core, index);\n        scope_on_ending(core, index, ended);\n",
           "        scope_on_ending(core, index, ended);\n",
           "children of an attempt that is over run on"),
    Mutant("a parent beside its old children", "broker/core/life/attempt.c",
           "    else if (scope_hold(core, index, retry->run_at_us ? JOB_RETRYING : JOB_READY, retry->run_at_us))\n        return;\n",
           "", "children of two attempts of one job run at a time"),
    Mutant("orphans of a crash", "broker/core/worker/recovery.c", "    scope_on_recovered(core);\n", "",
           "children whose parent's attempt was lost with the broker run on"),
    Mutant("siblings of a dead child live", "broker/core/life/attempt.c",
           "        scope_on_ending(core, index, ended);\n", "",
           "a scope that has failed goes on"),
    Mutant("a cancel stops at the children", "broker/core/life/cancel.c",
           "        scope_cancel_below(core, job->id, SCOPE_PARENT_CANCELLED, is_forced);\n", "        (void)is_forced;\n",
           "what descends from a cancelled job runs on until that has ended"),
    Mutant("a resume without slots", "broker/core/scope/suspend.c",
           "        if (suspend_lack(core, attempt))\n            return false;\n        leave_slots", "        leave_slots",
           "those that go on pass the limit"),
    Mutant("a resume before all are back", "broker/core/scope/suspend.c",
           "    if (core->unresolved)\n        return;\n", "",
           "those that go on take slots of which nobody knows whether they are free"),
    Mutant("those that wait keep their places", "broker/core/worker/offer.c",
           "    uint32_t uncounted = idle < most ? idle : most;\n", "    uint32_t uncounted = idle & most & 0;\n",
           "parents that wait for their children leave them no place"),
    Mutant("those that wait never count", "broker/core/worker/offer.c",
           "    uint32_t uncounted = idle < most ? idle : most;\n", "    uint32_t uncounted = most ? idle : 0;\n",
           "a worker gets more attempts than it has memory for"),
    Mutant("roots may wait where children have to", "broker/core/worker/offer.c",
           "    case DESK_ROOTS: return session->suspended_max / 2;\n", "    case DESK_ROOTS: return session->suspended_max;\n",
           "roots that wait fill a worker, and leave their children no place"),
    Mutant("one goes on without a place", "broker/core/scope/suspend.c",
           "    return offer_running(session) < session->capacity;\n", "    return session->capacity;\n",
           "more handlers run at a worker than it can"),
    Mutant("new jobs have places first", "broker/core/match/match.c",
           "    suspend_turn(core);\n    bool is_going_on = true;\n    while (is_going_on) {\n",
           "    bool is_going_on = true;\n    while (is_going_on || (suspend_turn(core), false)) {\n",
           "who waits to go on waits for as long as there are new jobs"),
    Mutant("a cancelled one waits for a place", "broker/core/scope/suspend.c",
           "    if (is_next || is_told(core, attempt))\n", "    if (is_next)\n",
           "a cancel is not felt while others run"),
    Mutant("one that waits for a place does not feel its cancel", "broker/core/life/attempt.c",
           "        suspend_on_told(core, job->attempt);\n", "",
           "a cancel is not felt while others run"),
    Mutant("those that wait for a group are not woken", "broker/core/match/group.c",
           "    suspend_on_group(core, group);\n", "",
           "who waits for a place of its group waits for ever"),
    Mutant("a deadlock is waited out", "broker/core/scope/deadlock.c",
           "    if (!scope || !may_any_be_blocked(core, scope, first))\n        return NULL;\n",
           "    (void)may_any_be_blocked;\n    return NULL;\n",
           "a child waits for a slot that its parents hold"),
    Mutant("children forgotten by the core are not asked for", "broker/core/scope/children.c",
           "    tell_found(core, attempt->session, answer);\n", "    (void)tell_found;\n",
           "a parent awaits a child that has completed for an earlier attempt"),
    Mutant("keys of children outlive their parent's completion", "broker/core/scope/scope.c",
           "        keys_forget_children(core, end->id);", "        (void)keys_forget_children;",
           "the table of keys fills with those of children"),
    Mutant("keys of all children loaded", "broker/store/store_mem_disk.c",
           "    return found && !(*found)->is_discarded && (*found)->record.state != BERTH_COMPLETED;\n",
           "    return found != NULL;\n",
           "a broker that comes back remembers keys that nobody asks for"),
    Mutant("keys of a dead parent's children forgotten", "broker/core/scope/scope.c",
           "    if (end->state == BERTH_COMPLETED)\n        keys_forget_children", "    if (true)\n        keys_forget_children",
           "a parent that is retried makes anew what completed"),
]


# Promises that come too early are seen at once (checker 9); but what follows from them must be seen, too.
PROMISES = ("welcome before the sync", "a report acknowledged before the sync", "a submit acknowledged before the sync",
            "the token of a slow rate stored once")
MUTANTS += [m._replace(name=m.name + ", by what follows", args=("--no-promises",)) for m in MUTANTS if m.name in PROMISES]


def copy_file(source, target):
    """Only what differs, and with a new time, so that what is built from it is built anew."""
    if not os.path.exists(target) or not filecmp.cmp(source, target, shallow=False):
        shutil.copyfile(source, target)


def copy_sources(root, copy):
    for folder in FOLDERS:
        shutil.copytree(os.path.join(root, folder), os.path.join(copy, folder), copy_function=copy_file,
                        dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    copy_file(os.path.join(root, "CMakeLists.txt"), os.path.join(copy, "CMakeLists.txt"))


def run(command, cwd, what):
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"mutants: {what} failed:\n{result.stdout[-4000:]}{result.stderr[-4000:]}")


def configure(copy):
    run(["cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo"], copy, "cmake")


def build(copy):
    return subprocess.run(["cmake", "--build", "build", "--target", "berth-sim"], cwd=copy, capture_output=True,
                          text=True, check=False)


def simulate(copy, mutant, seeds):
    """The number of the seed that failed and what was said, or None."""
    command = [os.path.join(copy, "build/bin/berth-sim"), "--seeds", str(seeds), *mutant.args]
    result = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    if result.returncode == 0:
        return None
    failed = re.search(r"seed (\d+) fails at [\d.]+ ms: (.*)", result.stderr)
    if failed:
        return int(failed.group(1)), failed.group(2)
    asserted = re.search(r"assertion failed: (.*)", result.stderr)
    aborted = re.search(r"seed (\d+) fails by an assertion", result.stderr)
    if asserted and aborted:
        return int(aborted.group(1)), "assertion " + asserted.group(1)
    return 0, f"ended with {result.returncode}"


def read(root, mutant):
    with open(os.path.join(root, mutant.file), encoding="utf-8") as file:
        return file.read()


def misfit(root, mutant):
    """What is wrong with its text, or None."""
    count = read(root, mutant).count(mutant.text)
    return None if count == 1 else f"its text is there {count} times in {mutant.file}, and must be once"


def fit(root, mutants):
    troubles = [(mutant.name, misfit(root, mutant)) for mutant in mutants]
    misfits = [f"{name}: {trouble}" for name, trouble in troubles if trouble]
    print("\n".join(misfits) or f"mutants: all {len(mutants)} fit")
    return 1 if misfits else 0


def try_mutant(copy, mutant, seeds):
    if misfit(copy, mutant):
        return misfit(copy, mutant), None
    path = os.path.join(copy, mutant.file)
    original = read(copy, mutant)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(original.replace(mutant.text, mutant.replacement))
        built = build(copy)
        if built.returncode != 0:
            return "does not compile:\n" + built.stdout[-2000:], None
        caught = simulate(copy, mutant, seeds)
        return (None if caught else f"survived {seeds} seeds"), caught
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(original)


def report(mutant, trouble, caught, seconds, is_markdown):
    if trouble:
        print(f"SURVIVED  {mutant.name}: {trouble}")
    elif is_markdown:
        seed, said = caught
        said = re.sub(r"\b[0-9a-f]*\d[0-9a-f]*\b", "N", said.replace("|", "/"))
        print(f"| {mutant.name} | {mutant.why} | {seed} | {said} |")
    else:
        print(f"caught    {mutant.name}: seed {caught[0]}, {seconds:.1f} s: {caught[1]}")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="at most so many for each mutant")
    parser.add_argument("--keep", help="a folder for the copy, to be used again")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--fit", action="store_true", help="only say whether each has its text in the sources")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    unknown = set(args.names) - {m.name for m in MUTANTS}
    if unknown:
        sys.exit(f"mutants: there is no mutant {', '.join(sorted(unknown))}")
    chosen = [m for m in MUTANTS if not args.names or m.name in args.names]

    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if args.fit:
        return fit(root, chosen)
    copy = args.keep or tempfile.mkdtemp(prefix="berth-mutants-")
    os.makedirs(copy, exist_ok=True)
    failures = 0
    try:
        copy_sources(root, copy)
        configure(copy)
        if build(copy).returncode != 0:
            sys.exit("mutants: the sources do not compile as they are")
        for mutant in chosen:
            begun = time.monotonic()
            trouble, caught = try_mutant(copy, mutant, args.seeds)
            report(mutant, trouble, caught, time.monotonic() - begun, args.markdown)
            failures += bool(trouble)
    finally:
        if not args.keep:
            shutil.rmtree(copy, ignore_errors=True)
    print(f"mutants: {len(chosen) - failures} of {len(chosen)} caught")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
