/* SPDX-License-Identifier: MIT */
/* The runtime child of berth-worker; see child.h. */
#include "worker/child.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "worker/keeper.h"
#include "worker/setup.h"

#define EXIT_BROKEN 70 /* EX_SOFTWARE of sysexits(3): to the keeper a crash */

struct child {
    const struct berth_args *args;
    struct options *options; /* those in force; */
    struct options other;    /* and a place to read others into */
    struct fence *fence;     /* the worker's */
    pthread_mutex_t lock;
    struct berth_worker *worker; /* NULL: too late for signals */
    pthread_t listener;
};

static int complain(const struct berth_error *err)
{
    (void)fprintf(stderr, "berth-worker: %s\n", err->message);
    return KEEPER_CHILD_REFUSED;
}

/* ---- signals ---- */

static void signals_of(sigset_t *ret_set)
{
    (void)sigemptyset(ret_set);
    (void)sigaddset(ret_set, SIGTERM);
    (void)sigaddset(ret_set, SIGINT);
    (void)sigaddset(ret_set, SIGHUP);
    (void)sigaddset(ret_set, SIGQUIT);
}

/* What can change while we run is the level of the log. */
static void reload(struct child *child)
{
    struct options *fresh = &child->other;
    struct berth_error err;
    if (options_read(fresh, child->args, &err) < 0) {
        berth_log(BERTH_LOG_ERROR, "the old configuration stays in force", BERTH_LOG_ERR(&err));
        return;
    }
    const char *difference = options_difference(child->options, fresh);
    if (difference)
        berth_log(BERTH_LOG_WARN, "a changed setting waits for a restart of the worker",
                  BERTH_LOG_TEXT("setting", difference));
    berth_log_init("berth-worker", (enum berth_log_level)fresh->log_level);
    options_fini(fresh);
    berth_log(BERTH_LOG_INFO, "reloaded");
}

static void take_signal(struct child *child, int signal)
{
    switch (signal) {
    case SIGTERM: berth_worker_drain(child->worker); break;
    case SIGINT: berth_worker_stop(child->worker); break;
    case SIGHUP: reload(child); break;
    case SIGQUIT: (void)weft_dump(STDERR_FILENO); break;
    default: break;
    }
}

static void *listen_run(void *arg)
{
    struct child *child = arg;
    sigset_t set;
    signals_of(&set);
    for (;;) {
        int signal = sigwaitinfo(&set, NULL);
        if (signal < 0)
            continue;
        (void)pthread_mutex_lock(&child->lock);
        bool is_late = child->worker == NULL;
        if (!is_late)
            take_signal(child, signal);
        (void)pthread_mutex_unlock(&child->lock);
        if (is_late)
            return NULL;
    }
}

static int listen_start(struct child *child, struct berth_error *err)
{
    BERTH_ASSERT(pthread_mutex_init(&child->lock, NULL) == 0);
    (void)signal(SIGPIPE, SIG_IGN);
    int rc = -pthread_create(&child->listener, NULL, listen_run, child);
    return rc < 0 ? berth_fail(err, rc, "listen to signals") : 0;
}

/* From here on signals do nothing. */
static void listen_stop(struct child *child)
{
    (void)pthread_mutex_lock(&child->lock);
    child->worker = NULL;
    (void)pthread_mutex_unlock(&child->lock);
    (void)pthread_kill(child->listener, SIGTERM);
    (void)pthread_join(child->listener, NULL);
}

/* ---- life ---- */

static int open_worker(struct child *child, struct berth_error *err)
{
    const struct options *options = child->options;
    int rc = fence_open((int)options->child_fd, &child->fence, err);
    if (rc < 0)
        return rc;
    bool is_alone = fence_birth(child->fence)->is_alone;
    const struct worker_setup setup = {
        .opts = { .url = options->broker,
                  .name = options->name,
                  .capacity = is_alone ? 1 : (uint32_t)options->capacity,
                  .suspended_max = (uint32_t)options->suspended_max },
        .is_exec_allowed = options->is_exec_allowed,
        .work_dir = options->work_dir,
        .fence = child->fence
    };
    rc = worker_open(&setup, &child->worker, err);
    for (size_t i = 0; rc >= 0 && i < options->plugins.count; i++)
        rc = berth_worker_plugin(child->worker, options->plugins.items[i], err);
    return rc;
}

static int status_of(const struct link_exit *exit)
{
    switch (exit->why) {
    case AGENT_EXIT_DRAINED: return KEEPER_CHILD_DRAINED;
    case AGENT_EXIT_LEASE_OVER: return KEEPER_CHILD_LEASE_OVER;
    case AGENT_EXIT_FENCED: return KEEPER_CHILD_FENCED;
    case AGENT_EXIT_TWO_BROKERS: return KEEPER_CHILD_TWO_BROKERS;
    case AGENT_EXIT_FORCED: return KEEPER_CHILD_FORCED;
    }
    BERTH_UNREACHABLE();
}

/* What failed before there was a session would fail again; later it is a crash like any other. */
static int status_of_failure(const struct child *child, const struct berth_error *err)
{
    struct fence_state state;
    fence_read(child->fence, &state);
    int status = complain(err);
    return state.session == 0 ? status : EXIT_BROKEN;
}

int child_run(struct options *options, const struct berth_args *args)
{
    static struct child child; /* the listener may outlive this call */
    struct berth_error err;
    (void)prctl(PR_SET_NAME, "berth-worker"); /* started through /proc/self/exe, it is "exe" */
    child = (struct child){ .args = args, .options = options };
    int rc = open_worker(&child, &err);
    if (rc >= 0)
        rc = listen_start(&child, &err);
    if (rc < 0) {
        berth_worker_close(child.worker);
        return complain(&err);
    }
    struct link_exit exit;
    struct berth_worker *worker = child.worker;
    rc = worker_run_session(worker, &exit, &err);
    if (rc < 0)
        _exit(status_of_failure(&child, &err));
    bool is_drained = exit.why == AGENT_EXIT_DRAINED;
    berth_log(is_drained ? BERTH_LOG_INFO : BERTH_LOG_ERROR, "session_over",
              BERTH_LOG_TEXT("reason", exit.reason),
              BERTH_LOG_U64("running", worker_running_count(worker)));
    /* Nothing that still runs may run on, or be waited for: the keeper ends what we leave behind.
     */
    if (!is_drained || worker_running_count(worker) > 0)
        _exit(status_of(&exit));
    listen_stop(&child);
    berth_worker_close(worker);
    (void)weft_shutdown();
    return status_of(&exit);
}
