/* SPDX-License-Identifier: MIT */
/* The shell of a worker: wires link, agent, slots and handlers together. */
#include "worker/setup.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/endpoint.h"
#include "base/log.h"
#include "base/text.h"
#include "worker/culprit.h"
#include "worker/node.h"
#include "worker/plugin.h"
#include "worker/registry.h"
#include "worker/slots.h"
#include "worker/watchdog.h"

#define PLUGINS_MAX           64
#define SERVED_MAX            256 /* as many as a hello may hold */
#define SETUP_ARENA_BYTES_MAX (64u << 10)
#define IO_THREADS_MIN        64
#define IO_THREADS_SPARE      16 /* for attempts that go on beyond the capacity: to end, or to ask */
#define SAY_GONE_MS           1000

struct berth_worker {
    struct berth_arena arena; /* of the texts below */
    const char *url, *name, *work_dir;
    const char *served[SERVED_MAX];
    size_t served_count;
    const char *handlers[REGISTRY_HANDLERS_MAX + 1];
    size_t handler_count;
    uint32_t capacity, suspended_max;
    int64_t grace_ms;
    bool is_exec_allowed;

    struct registry registry;
    struct plugin *plugins[PLUGINS_MAX];
    size_t plugin_count;
    struct inbox *inbox;
    struct slots *slots;
    struct fence *fence;       /* a keeper's; or NULL, and then: */
    struct watchdog *watchdog; /* while it runs */
    atomic_bool has_run, is_told_to_end;

    /* Of the next session. */
    uint8_t node[NODE_ID_BYTES], boot[NODE_ID_BYTES], nonce[NODE_ID_BYTES];
    uint32_t child;
    uint32_t epoch_seen;
    uint64_t lineage_seen;
};

static int copy_setup(struct berth_worker *worker, const struct worker_setup *setup,
                      struct berth_error *err);
static int identify(struct berth_worker *worker, struct berth_error *err);
static int prepare(struct berth_worker *worker, struct berth_error *err);

/* ---- open and close ---- */

/* Best effort: a program that has started weft for itself has said how. What waits is woken when
 * its wait is over or it is to end, whether it has a place or not, and needs a thread then. */
static void configure_weft(uint32_t capacity, uint32_t suspended_max)
{
    uint32_t spare = suspended_max < IO_THREADS_SPARE ? suspended_max : IO_THREADS_SPARE;
    uint32_t threads = capacity + spare;
    (void)weft_configure(
        &(struct weft_opts){ .io_threads = threads > IO_THREADS_MIN ? threads : IO_THREADS_MIN,
                             .stack_bytes = WORKER_STACK_BYTES });
}

int worker_open(const struct worker_setup *setup, struct berth_worker **ret_worker,
                struct berth_error *err)
{
    struct berth_worker *worker = calloc(1, sizeof *worker);
    if (!worker) {
        fence_free(setup->fence);
        return berth_fail(err, -ENOMEM, "open a worker");
    }
    worker->fence = setup->fence;
    berth_arena_init(&worker->arena, SETUP_ARENA_BYTES_MAX);
    atomic_init(&worker->has_run, false);
    atomic_init(&worker->is_told_to_end, false);
    int rc = copy_setup(worker, setup, err);
    if (rc >= 0)
        rc = identify(worker, err);
    if (rc >= 0)
        rc = inbox_open(&worker->inbox, err);
    if (rc < 0) {
        berth_worker_close(worker);
        return rc;
    }
    configure_weft(worker->capacity, worker->suspended_max);
    *ret_worker = worker;
    return 0;
}

int berth_worker_open(const struct berth_worker_opts *opts, struct berth_worker **ret_worker,
                      struct berth_error *err)
{
    struct worker_setup setup = { 0 };
    if (opts)
        setup.opts = *opts;
    return worker_open(&setup, ret_worker, err);
}

void berth_worker_close(struct berth_worker *worker)
{
    if (!worker)
        return;
    slots_close(worker->slots);
    for (size_t i = worker->plugin_count; i > 0; i--)
        plugin_close(worker->plugins[i - 1]);
    inbox_close(worker->inbox);
    fence_free(worker->fence);
    berth_arena_fini(&worker->arena);
    free(worker);
}

static int copy_text(struct berth_worker *worker, const char *text, const char **ret_text,
                     struct berth_error *err)
{
    *ret_text = berth_arena_strdup(&worker->arena, text);
    return *ret_text ? 0 : berth_fail(err, -ENOMEM, "open a worker");
}

static int copy_url(struct berth_worker *worker, const char *url, struct berth_error *err)
{
    const char *what = "url", *env = getenv("BERTH_URL");
    if (!url && env && env[0] != '\0') {
        url = env;
        what = "BERTH_URL";
    }
    if (!url)
        url = WORKER_URL_DEFAULT;
    struct berth_endpoint endpoint;
    int rc = berth_endpoint_parse(what, url, &endpoint, err);
    return rc < 0 ? rc : copy_text(worker, url, &worker->url, err);
}

static int copy_name(struct berth_worker *worker, const char *name, struct berth_error *err)
{
    char fallback[NODE_NAME_BYTES_MAX + 1];
    if (!name) {
        /* The keeper's, which stays the same from child to child. */
        int32_t name_pid = worker->fence ? fence_birth(worker->fence)->name_pid : getpid();
        node_default_name(name_pid ? name_pid : getppid(), fallback);
        name = fallback;
    }
    int rc = berth_name_check("name", name, err);
    return rc < 0 ? rc : copy_text(worker, name, &worker->name, err);
}

static int copy_served(struct berth_worker *worker, const char *const *names,
                       struct berth_error *err)
{
    for (size_t i = 0; names && names[i]; i++) {
        if (i == SERVED_MAX)
            return berth_fail(err, BERTH_EVALUE, "dispatchers: allowed are %d names at most",
                              SERVED_MAX);
        int rc = berth_name_check("dispatchers", names[i], err);
        if (rc >= 0)
            rc = copy_text(worker, names[i], &worker->served[i], err);
        if (rc < 0)
            return rc;
        worker->served_count++;
    }
    return 0;
}

/* Whether it is there for one suspect. */
static bool is_alone(const struct berth_worker *worker)
{
    return worker->fence && fence_birth(worker->fence)->is_alone;
}

/* How many attempts it holds. The default gives way to a large capacity. */
static int copy_places(struct berth_worker *worker, const struct berth_worker_opts *opts,
                       struct berth_error *err)
{
    uint32_t capacity = opts->capacity, suspended_max = opts->suspended_max;
    if (capacity > AGENT_CAPACITY_MAX)
        return berth_fail(err, BERTH_EVALUE, "capacity %u: allowed is 1 to %d", capacity,
                          AGENT_CAPACITY_MAX);
    if (capacity == 0)
        capacity = WORKER_CAPACITY_DEFAULT;
    uint32_t left = AGENT_CAPACITY_MAX - capacity;
    if (suspended_max > left)
        return berth_fail(err, BERTH_EVALUE,
                          "suspended_max %u beside capacity %u: allowed are %d together",
                          suspended_max, capacity, AGENT_CAPACITY_MAX);
    if (suspended_max == 0)
        suspended_max = left < WORKER_SUSPENDED_DEFAULT ? left : WORKER_SUSPENDED_DEFAULT;
    worker->capacity = capacity;
    worker->suspended_max = is_alone(worker) ? 0 : suspended_max;
    return 0;
}

static int copy_setup(struct berth_worker *worker, const struct worker_setup *setup,
                      struct berth_error *err)
{
    const struct berth_worker_opts *opts = &setup->opts;
    for (size_t i = 0; i < sizeof opts->reserved / sizeof opts->reserved[0]; i++) {
        if (opts->reserved[i] != 0)
            return berth_fail(err, -EINVAL, "reserved[%zu] is not 0", i);
    }
    if (opts->grace_ms < 0 || opts->grace_ms > WORKER_GRACE_MS_MAX)
        return berth_fail(err, BERTH_EVALUE, "grace_ms %lld: allowed is 0 to %d",
                          (long long)opts->grace_ms, WORKER_GRACE_MS_MAX);
    worker->grace_ms = opts->grace_ms > 0 ? opts->grace_ms : WORKER_GRACE_MS_DEFAULT;
    worker->is_exec_allowed = setup->is_exec_allowed;
    int rc = copy_places(worker, opts, err);
    if (rc >= 0)
        rc = copy_url(worker, opts->url, err);
    if (rc >= 0)
        rc = copy_name(worker, opts->name, err);
    if (rc >= 0)
        rc = copy_served(worker, opts->dispatchers, err);
    if (rc >= 0 && setup->work_dir)
        rc = copy_text(worker, setup->work_dir, &worker->work_dir, err);
    return rc;
}

/* Who the broker is to take us for. */
static int identify(struct berth_worker *worker, struct berth_error *err)
{
    int rc = node_id(worker->node, err);
    if (rc >= 0)
        rc = node_boot_id(worker->boot, err);
    if (rc < 0)
        return rc;
    if (!worker->fence) {
        worker->child = 1;
        return node_nonce(worker->nonce, err);
    }
    const struct fence_birth *birth = fence_birth(worker->fence);
    memcpy(worker->nonce, birth->nonce, sizeof worker->nonce);
    worker->child = birth->child;
    worker->epoch_seen = birth->epoch_seen;
    worker->lineage_seen = birth->lineage_seen;
    return 0;
}

/* ---- handlers ---- */

int berth_worker_handler(struct berth_worker *worker, const char *name, berth_handler_fn fn,
                         void *arg, const struct berth_handler_opts *opts, struct berth_error *err)
{
    if (atomic_load(&worker->has_run))
        return berth_fail(err, -EBUSY, "handler '%s': the worker runs already", name);
    return registry_add(&worker->registry, name, fn, arg, opts, err);
}

int berth_worker_plugin(struct berth_worker *worker, const char *path, struct berth_error *err)
{
    if (atomic_load(&worker->has_run))
        return berth_fail(err, -EBUSY, "plugin '%s': the worker runs already", path);
    if (worker->plugin_count == PLUGINS_MAX)
        return berth_fail(err, BERTH_EFULL, "plugin '%s': a worker loads %d at most", path,
                          PLUGINS_MAX);
    int rc = plugin_open(path, worker, &worker->plugins[worker->plugin_count], err);
    if (rc < 0)
        return rc;
    const struct berth_plugin *about = plugin_about(worker->plugins[worker->plugin_count++]);
    berth_log(BERTH_LOG_INFO, "plugin_loaded", BERTH_LOG_TEXT("path", path),
              BERTH_LOG_TEXT("name", about->name), BERTH_LOG_TEXT("version", about->version));
    return 0;
}

/* ---- the link's host ---- */

static void host_start(void *arg, const struct agent_grant *grant)
{
    struct berth_worker *worker = arg;
    slots_start(worker->slots, grant);
}

static void host_cancel(void *arg, uint64_t attempt, enum agent_cancel_reason reason,
                        int64_t grace_ms)
{
    struct berth_worker *worker = arg;
    slots_cancel(worker->slots, attempt, reason, grace_ms);
}

static void host_finish(void *arg, struct inbox_item *item)
{
    struct berth_worker *worker = arg;
    slots_finish(worker->slots, item);
}

static bool host_tidy(void *arg)
{
    struct berth_worker *worker = arg;
    return slots_tidy(worker->slots);
}

static bool host_news(void *arg, uint64_t *ret_attempt)
{
    struct berth_worker *worker = arg;
    return slots_next_news(worker->slots, ret_attempt);
}

static bool host_show(void *arg, uint64_t attempt, uint32_t epoch, uint32_t join, size_t bytes_max,
                      struct berth_arena *arena, struct agent_show *ret_show)
{
    struct berth_worker *worker = arg;
    return slots_show(worker->slots, attempt, epoch, join, bytes_max, arena, ret_show);
}

static void host_resume(void *arg, uint64_t attempt)
{
    struct berth_worker *worker = arg;
    slots_resume(worker->slots, attempt);
}

static void host_children(void *arg, const struct agent_submitted *answer)
{
    struct berth_worker *worker = arg;
    slots_submitted(worker->slots, answer);
}

static void host_child_ended(void *arg, const struct agent_child_end *end)
{
    struct berth_worker *worker = arg;
    slots_child_ended(worker->slots, end);
}

static bool host_ask(void *arg, uint64_t *ret_number, berth_job_id *ret_id)
{
    struct berth_worker *worker = arg;
    return asks_next(slots_asks(worker->slots), ret_number, ret_id);
}

static void host_answer(void *arg, uint64_t number, struct berth_slice frame)
{
    struct berth_worker *worker = arg;
    asks_answer(slots_asks(worker->slots), number, frame);
}

static void host_session(void *arg, uint64_t session, uint32_t epoch, uint64_t lineage,
                         int64_t worker_lease_ms)
{
    struct berth_worker *worker = arg;
    worker->epoch_seen = epoch;
    worker->lineage_seen = lineage;
    if (!worker->fence)
        return;
    if (session != 0)
        fence_set_session(worker->fence, session, epoch, lineage, worker_lease_ms);
    else
        fence_set_epoch_seen(worker->fence, epoch, lineage);
}

static void host_lease(void *arg, int64_t end_ms)
{
    struct berth_worker *worker = arg;
    if (worker->fence)
        fence_set_lease_end(worker->fence, end_ms);
    else
        watchdog_set(worker->watchdog, end_ms, "the lease");
}

static void host_start_alone(void *arg, uint32_t count)
{
    struct berth_worker *worker = arg;
    fence_start_alone(worker->fence, count);
}

/* ---- run ---- */

size_t worker_running_count(struct berth_worker *worker)
{
    return worker->slots ? slots_running_count(worker->slots) : 0;
}

static size_t running_count(void *arg)
{
    return worker_running_count(arg);
}

/* Everything that is needed before the first session. */
static int prepare(struct berth_worker *worker, struct berth_error *err)
{
    if (atomic_exchange(&worker->has_run, true))
        return berth_fail(err, -EBUSY, "a worker runs once");
    for (size_t i = 0; i < worker->registry.count; i++)
        worker->handlers[worker->handler_count++] = worker->registry.entries[i].name;
    if (worker->is_exec_allowed)
        worker->handlers[worker->handler_count++] = REGISTRY_EXEC;
    if (worker->handler_count == 0)
        return berth_fail(err, -EINVAL, "the worker has no handler to offer");
    const struct slots_opts opts = { .attempts_max = worker->capacity + worker->suspended_max,
                                     .registry = &worker->registry,
                                     .inbox = worker->inbox,
                                     .fence = worker->fence,
                                     .is_exec_allowed = worker->is_exec_allowed,
                                     .work_dir = worker->work_dir };
    return slots_open(&opts, &worker->slots, err);
}

static int session_open(struct berth_worker *worker, struct link **ret_link,
                        struct berth_error *err)
{
    struct link_opts opts = {
        .url = worker->url,
        .agent = { .child = worker->child,
                   .epoch_seen = worker->epoch_seen,
                   .lineage_seen = worker->lineage_seen,
                   .name = worker->name,
                   .handlers = worker->handlers,
                   .handler_count = worker->handler_count,
                   .dispatchers = worker->served,
                   .dispatcher_count = worker->served_count,
                   .capacity = worker->capacity,
                   .suspended_max = worker->suspended_max,
                   .cores = node_cores(),
                   .is_alone = is_alone(worker),
                   .can_start_alone = worker->fence && !is_alone(worker),
                   .seed = (uint64_t)berth_clock_monotonic_ns() },
        .inbox = worker->inbox,
        .host = { .arg = worker,
                  .start = host_start,
                  .cancel = host_cancel,
                  .finish = host_finish,
                  .tidy = host_tidy,
                  .news = host_news,
                  .show = host_show,
                  .resume = host_resume,
                  .children = host_children,
                  .child_ended = host_child_ended,
                  .ask = host_ask,
                  .answer = host_answer,
                  .session = host_session,
                  .lease = host_lease,
                  .start_alone = host_start_alone },
        .stop_grace_ms = worker->grace_ms,
    };
    memcpy(opts.agent.node, worker->node, NODE_ID_BYTES);
    memcpy(opts.agent.boot, worker->boot, NODE_ID_BYTES);
    memcpy(opts.agent.nonce, worker->nonce, NODE_ID_BYTES);
    return link_open(&opts, ret_link, err);
}

int worker_run_session(struct berth_worker *worker, struct link_exit *ret_exit,
                       struct berth_error *err)
{
    int rc = prepare(worker, err);
    if (rc >= 0)
        rc = culprit_watch(worker->fence, err);
    if (rc < 0)
        return rc;
    struct link *link;
    rc = session_open(worker, &link, err);
    if (rc < 0)
        return rc;
    rc = link_run(link, ret_exit, err);
    link_close(link);
    return rc;
}

static const char *what_is_over(enum agent_exit why)
{
    switch (why) {
    case AGENT_EXIT_DRAINED: return "the grace time";
    case AGENT_EXIT_LEASE_OVER: return "the lease";
    case AGENT_EXIT_FENCED:
    case AGENT_EXIT_TWO_BROKERS: return "the session";
    case AGENT_EXIT_FORCED: return "the grace time of a job cancelled by force";
    }
    BERTH_UNREACHABLE();
}

/* One session without a keeper. 1: it is over and another may follow; 0: drained. */
static int run_alone(struct berth_worker *worker, struct berth_error *err)
{
    struct link *link;
    struct link_exit exit;
    int rc = session_open(worker, &link, err);
    if (rc < 0)
        return rc;
    rc = link_run(link, &exit, err);
    /* Nobody else can prove that what still runs will end. */
    size_t running = worker_running_count(worker);
    if (running > 0)
        watchdog_bite(rc < 0 ? "the link to the broker" : what_is_over(exit.why), running);
    watchdog_set(worker->watchdog, 0, "");
    if (rc >= 0 && exit.why != AGENT_EXIT_TWO_BROKERS)
        (void)link_say_gone(link, SAY_GONE_MS); /* unanswered: the lease says it */
    link_close(link);
    if (rc < 0)
        return rc;
    berth_log(BERTH_LOG_INFO, "session_over", BERTH_LOG_TEXT("reason", exit.reason));
    worker->child++;
    switch (exit.why) {
    case AGENT_EXIT_DRAINED: return 0;
    case AGENT_EXIT_LEASE_OVER:
    case AGENT_EXIT_FORCED:
    case AGENT_EXIT_FENCED: return atomic_load(&worker->is_told_to_end) ? 0 : 1;
    case AGENT_EXIT_TWO_BROKERS: return berth_fail(err, BERTH_EFENCED, "%s", exit.reason);
    }
    BERTH_UNREACHABLE();
}

int berth_worker_run(struct berth_worker *worker, struct berth_error *err)
{
    BERTH_ASSERT(!worker->fence);
    int rc = prepare(worker, err);
    if (rc < 0)
        return rc;
    rc = watchdog_open(running_count, worker, &worker->watchdog, err);
    if (rc < 0)
        return rc;
    do
        rc = run_alone(worker, err);
    while (rc > 0);
    watchdog_close(worker->watchdog);
    worker->watchdog = NULL;
    return rc;
}

void berth_worker_drain(struct berth_worker *worker)
{
    atomic_store(&worker->is_told_to_end, true);
    inbox_command(worker->inbox, INBOX_DRAIN);
}

void berth_worker_stop(struct berth_worker *worker)
{
    atomic_store(&worker->is_told_to_end, true);
    inbox_command(worker->inbox, INBOX_STOP);
}
