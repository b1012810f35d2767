/* SPDX-License-Identifier: MIT
 *
 * Write a handler; ship it as a plugin of berth-worker, or embed a worker in a program of your own.
 *
 *     static int mail(struct berth_attempt *attempt, void *arg)
 *     {
 *         struct berth_slice to = berth_attempt_payload(attempt);
 *         if (to.bytes == 0)
 *             return berth_attempt_fail_forever(attempt, "payload is empty: an address is wanted");
 *         return send_mail(to);                  0: completed; negative: tried again by the rules
 *     }
 *     static int mail_open(struct berth_worker *worker, struct berth_error *err)
 *     {
 *         return berth_worker_handler(worker, "mail", mail, NULL, NULL, err);
 *     }
 *     const struct berth_plugin berth_plugin = {
 *         BERTH_PLUGIN_ABI, sizeof berth_plugin, "mail", "1.0", mail_open, NULL
 *     };
 *
 * Still to come: key files.
 *
 * Invariants
 * 1. A handler runs once for each attempt, and not after its worker's lease is over: the process is
 *    ended before the broker may give the attempt's slot away.
 * 2. An attempt is over when its handler has returned, all its coroutines have ended, and all its
 *    children, which are jobs, have.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/client.h>
#include <berth/error.h>
#include <berth/types.h>
#include <weft/weft.h>

#ifdef __cplusplus
extern "C" {
#endif

struct berth_worker;

/* One try at one job. Valid in the handler and in its child coroutines. */
struct berth_attempt;

/* ---- handlers ---- */

/* The function behind a handler's name, run as a coroutine: all of weft is there, and plain
 * blocking C (it runs on weft_io() unless registered otherwise; registered on weft_virtual(), its
 * blocking calls of libc park, and are cancelled with the attempt). Returns 0: completed; negative:
 * failed, tried again by the job's rules; or a verdict, see below. Once the attempt is cancelled or
 * out of time its next wait in weft is -ECANCELED, which is to be returned after tidying up. */
typedef int (*berth_handler_fn)(struct berth_attempt *attempt, void *arg);

berth_job_id berth_attempt_job(const struct berth_attempt *attempt);

/* 1 for the first. */
uint32_t berth_attempt_number(const struct berth_attempt *attempt);

/* As submitted; valid as long as the attempt. */
struct berth_slice berth_attempt_payload(const struct berth_attempt *attempt);

/* A field of the context that was submitted with the job, or that was added since by
 * weft_scope_field(): the same as weft_field_find(). NULL: there is none. */
const char *berth_attempt_context_find(const struct berth_attempt *attempt, const char *key);

/* When the attempt is out of time, on weft_now_ns(); WEFT_NEVER: never. */
int64_t berth_attempt_deadline_ns(const struct berth_attempt *attempt);

/* Why the attempt is to end: "cancel", "timeout", "deadline", "drain", or "child": a child of it is
 * dead; "" while it is not. Static text. */
const char *berth_attempt_cancel_reason(const struct berth_attempt *attempt);

/* One line to the worker's log, which carries job, attempt, dispatcher, handler and context. Never
 * waits; longer than 2,000 bytes is cut. */
void berth_attempt_log(struct berth_attempt *attempt, const char *format, ...) BERTH_PRINTF(2, 3);

/* How far the attempt is, `done` of `total` (0: not known), in whatever unit: shown with the job
 * while it runs, within a second or so, and kept with its result. As often as you like: the last
 * call counts. Never waits, never fails. */
void berth_attempt_progress(struct berth_attempt *attempt, uint64_t done, uint64_t total);

/* What the attempt leaves behind; the last call counts. Copies. 0; -EMSGSIZE: more than 1 MiB;
 * -ENOMEM. */
int berth_attempt_result(struct berth_attempt *attempt, const void *data, size_t bytes);

/* Verdicts, to be returned: `return berth_attempt_snooze(attempt, 60000);`. They mean nothing until
 * they are. Messages are cut at 4,096 bytes.
 *
 * fail: tried again by the rules. fail_forever: never again. retry_at: tried again not before that
 * time. snooze: put off, and uses no attempt. */
int berth_attempt_fail(struct berth_attempt *attempt, const char *format, ...) BERTH_PRINTF(2, 3);
int berth_attempt_fail_forever(struct berth_attempt *attempt, const char *format, ...)
    BERTH_PRINTF(2, 3);
int berth_attempt_retry_at(struct berth_attempt *attempt, int64_t unix_ms, const char *format, ...)
    BERTH_PRINTF(3, 4);
int berth_attempt_snooze(struct berth_attempt *attempt, int64_t delay_ms);

/* ---- children ---- */

/* A handler may submit jobs inside its own: its children, which run wherever there is room, on any
 * host. They are a scope, as coroutines are inside one:
 *
 *   - the job completes when its handler and all its children have ended; what a handler does not
 *     await is awaited when it has returned;
 *   - a child that is dead (out of attempts, or refused for ever) cancels its siblings and this
 *     attempt, which has failed then ("child 17 is dead: ...") and is tried again by the job's
 *     rules, unless the handler returns fail_forever or snooze; one that was cancelled fails
 * nobody;
 *   - a handler that fails, snoozes or is cancelled takes its children with it;
 *   - an attempt that is lost with its worker takes them with it, too, before the next one starts.
 *
 * The n-th child of a job has the number n as its key, in each attempt: a later attempt that
 * submits the same in the same order finds those that completed, and those that failed are made
 * anew. What it submits in that place must be the same job, else it is BERTH_ECONFLICT.
 *
 * Children inherit the context of the coroutine that submits them, and a deadline that is not later
 * than their parent's. */

/* Before the first child, else it changes nothing: children that are dead fail alone. The attempt
 * and their siblings go on, and the handler says what it means. */
void berth_attempt_supervise(struct berth_attempt *attempt);

/* Waits until `count` jobs (1 .. BERTH_SUBMIT_JOBS_MAX, 4 MiB in all) are durable as children: all
 * of them, or none; the next ones have the next numbers in both cases. Not to be interrupted: a
 * cancel waits for the answer.
 *
 * 0; -ECANCELED: the attempt was cancelled before; BERTH_EVALUE, -EMSGSIZE, -E2BIG: one is
 * malformed, or has an idempotency key; BERTH_ENOTFOUND: no such dispatcher; BERTH_ECONFLICT: an
 * earlier attempt had another job in that place; BERTH_EDENIED: this job is being cancelled, or
 * another attempt runs it; BERTH_ELIMIT: its dispatcher has max_queued; BERTH_EFULL: no room in the
 * broker now; -EDEADLK: they could never start, for this job and its like hold all the slots that
 * they need while they wait; -EPERM: not in a coroutine; -ENOMEM: they may
 * be there all the same, and end when the handler returns this. The worker's log has the reason,
 * and so has the job's error if the handler returns this. */
int berth_child_submit(struct berth_attempt *attempt, const struct berth_job_spec *specs,
                       size_t count, berth_job_id *ret_ids);

/* Waits, suspended, until the child has ended. 0: it has completed; WEFT_ECHILD: it was cancelled;
 * -EREMOTEIO: it is dead (unless the attempt is supervised, it is being cancelled then, and this is
 * -ECANCELED). In these three cases the job goes out, with its result, if `ret_job` is not NULL:
 * give it back with berth_job_free(). -ECANCELED; BERTH_ENOTFOUND: not a child that this attempt
 * has submitted, or it was asked for, and retention has removed it; -EPERM: not in a coroutine. */
int berth_child_await(struct berth_attempt *attempt, berth_job_id id, struct berth_job **ret_job);

/* Waits, suspended, for so long. 0 or -ECANCELED.
 *
 * Suspended: nothing of the handler runs, and if its dispatcher has hold = running, its slots are
 * given back meanwhile, in the dispatcher and all above it. It goes on when it has all of them
 * again, ahead of jobs that have not begun; a cancel is felt then, too, and not before. So both
 * take longer than what they wait for: a round trip to the broker at least. The clocks of the
 * attempt and of the job go on.
 *
 * Only the handler's own coroutine is suspended. In one that it has launched these calls just wait,
 * for others may run beside it. What the handler has launched and not awaited runs on while the
 * handler is suspended, without a slot: await it first. */
int berth_attempt_sleep_ms(struct berth_attempt *attempt, int64_t ms);

struct berth_handler_opts {
    struct weft_dispatcher *on; /* NULL: weft_io(). weft_virtual(): if it hardly calculates */
    size_t stack_bytes;         /* 0: the runtime's */
    uint64_t reserved[8];
};

/* Names a function, before the worker runs. Copies `name` and `opts` (NULL: all defaults).
 *
 * 0; BERTH_EVALUE: the name is not [A-Za-z0-9][A-Za-z0-9._-]{0,63}, or is "exec", which is for
 * commands; -EEXIST: it is taken; BERTH_EFULL: 255 names; -EINVAL: no function, stack_bytes outside
 * weft's limits, or something reserved is not zero; -EBUSY: the worker runs. */
int berth_worker_handler(struct berth_worker *worker, const char *name, berth_handler_fn fn,
                         void *arg, const struct berth_handler_opts *opts, struct berth_error *err);

/* ---- plugins ---- */

#define BERTH_PLUGIN_ABI 1u

/* A plugin is a shared object that exports one of these, named berth_plugin. `abi` and `bytes` are
 * read before any function of it is called (but for constructors, which the loader calls). It must
 * not be linked with libberth_worker or libweft: the program that loads it has them. */
struct berth_plugin {
    uint32_t abi;   /* BERTH_PLUGIN_ABI */
    uint32_t bytes; /* sizeof(struct berth_plugin) */
    const char *name, *version;
    /* Registers handlers. Negative: the worker does not start. */
    int (*open)(struct berth_worker *worker, struct berth_error *err);
    void (*close)(void); /* NULL: nothing to do. After the last attempt has ended */
};

extern __attribute__((visibility("default"))) const struct berth_plugin berth_plugin;

/* ---- embedding ---- */

/* A watchdog thread fences this process: if an attempt outlives its lease, or the grace after
 * berth_worker_stop(), it ends the whole process by _exit, after one line on stderr that says so.
 */
struct berth_worker_opts {
    const char *url;                /* NULL: $BERTH_URL, else tcp://127.0.0.1:7411 */
    const char *name;               /* NULL: HOSTNAME-PID */
    const char *const *dispatchers; /* whose jobs to take, ended by NULL; NULL: all */
    uint32_t capacity;              /* attempts at once, 1 .. 65535; 0: 256 */
    /* Attempts beside those, which are suspended: while they await a child, or sleep. They take
     * memory, and no thread. 1 .. 65534, both together 65535 at most; 0: 4096, or what is left. */
    uint32_t suspended_max;
    int64_t grace_ms; /* from cancel to _exit; 0: 5,000 */
    uint64_t reserved[8];
};

/* Copies what it needs; connects only in berth_worker_run(). If weft has not started yet, it is
 * configured with as many io threads as the capacity and some more for attempts that were
 * suspended, so that blocking handlers do not wait for one another, nor hold up one that is to end.
 * opts NULL: all defaults. */
int berth_worker_open(const struct berth_worker_opts *opts, struct berth_worker **ret_worker,
                      struct berth_error *err);

/* Loads a plugin and lets it register its handlers, before berth_worker_run(). A path without a
 * slash is one in the working directory. BERTH_EVALUE: it is no plugin, or one for another version;
 * -ENOENT and the like; or what its open returned. */
int berth_worker_plugin(struct berth_worker *worker, const char *path, struct berth_error *err);

/* Blocks this plain thread until the worker is drained or stopped (0), or cannot go on:
 * BERTH_EFENCED: there are two brokers; -ENOMEM and the like. While the broker is away it waits for
 * it. Once. */
int berth_worker_run(struct berth_worker *worker, struct berth_error *err);

/* Take nothing new, end what runs, then run returns. Any thread, signal handlers too. */
void berth_worker_drain(struct berth_worker *worker);

/* Cancel what runs, hand it back unspent, then run returns. As drain. */
void berth_worker_stop(struct berth_worker *worker);

/* After run, or without it. Closes the plugins. NULL is fine. */
void berth_worker_close(struct berth_worker *worker);

#ifdef __cplusplus
}
#endif
