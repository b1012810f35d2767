/* SPDX-License-Identifier: MIT
 *
 * One loop, one thread (ZeroMQ's apart, while a certificate is out). All times are milliseconds of
 * CLOCK_BOOTTIME, and the lease end has a timer on that clock: poll()'s own timeouts stand still
 * while the machine sleeps.
 */
#include "worker/keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "worker/cgroup.h"
#include "worker/fence.h"
#include "worker/keeper_alone.h"
#include "worker/keeper_child.h"
#include "worker/net/gone.h"

#define REAP_EVERY_MS 10
#define EXIT_TROUBLE  1

enum phase { KEEPER_RUNNING, KEEPER_REAPING, KEEPER_RESTING, KEEPER_LEAVING };

struct keeper {
    const struct keeper_opts *opts;
    uint8_t nonce[16];
    sigset_t child_mask;
    struct cgroup *cgroup; /* NULL: we may not make one */
    struct gone_desk *desk;
    int epoll_fd, signal_fd, timer_fd;
    struct fence_attempt *attempts; /* room for those of a dead child */

    enum phase phase;
    struct keeper_child child; /* while RUNNING or REAPING */
    struct keeper_alone alone;
    uint32_t alone_started;     /* of those that this child has asked for */
    enum gone_cause kill_cause; /* why it was killed; 0: it was not */
    uint32_t child_count;
    uint32_t epoch_seen;
    uint64_t lineage_seen;
    int64_t backoff_ms;  /* before the next child but one */
    int64_t deadline_ms; /* RESTING: the next child. LEAVING: the latest end */
    int64_t stop_ms;     /* RUNNING: kill it, it was told to stop; INT64_MAX: it was not */
    int64_t watchdog_ms, alive_ms; /* how often the service manager hears of us, and when next */
    int term_count;
    int exit_code;
    bool is_ready; /* a child of ours has had a session */
    bool is_done;
};

static int64_t clock_ms(void)
{
    return berth_clock_boottime_ns() / 1000000;
}

static int open_all(struct keeper *keeper, struct berth_error *err);
static void close_all(struct keeper *keeper);
static void take_signals(struct keeper *keeper, int64_t now_ms);
static void start_child(struct keeper *keeper, int64_t now_ms);
static void watch_child(struct keeper *keeper, int64_t now_ms);
static void reap_child(struct keeper *keeper, int64_t now_ms);
static void tell_broker(struct keeper *keeper, int64_t now_ms);
static int64_t next_deadline_ms(struct keeper *keeper, int64_t now_ms);

/* ---- the loop ---- */

/* Everything is proven, or the time for it is over; keepers for suspects end by themselves, as they
 * were told to. */
static bool has_left(struct keeper *keeper, int64_t now_ms)
{
    if (keeper->alone.count > 0)
        return false;
    return gone_count(keeper->desk) == 0 || now_ms >= keeper->deadline_ms;
}

static void step(struct keeper *keeper, int64_t now_ms)
{
    take_signals(keeper, now_ms);
    if (keeper->phase == KEEPER_RUNNING)
        watch_child(keeper, now_ms);
    if (keeper->phase == KEEPER_REAPING)
        reap_child(keeper, now_ms);
    keeper_alone_reap(&keeper->alone);
    tell_broker(keeper, now_ms);
    if (keeper->phase == KEEPER_RESTING && now_ms >= keeper->deadline_ms)
        start_child(keeper, now_ms);
    if (keeper->phase == KEEPER_LEAVING)
        keeper->is_done = has_left(keeper, now_ms);
    if (now_ms >= keeper->alive_ms) {
        (void)berth_notify("WATCHDOG=1");
        keeper->alive_ms = now_ms + keeper->watchdog_ms;
    }
}

int keeper_run(const struct keeper_opts *opts)
{
    struct keeper keeper = { .opts = opts, .epoll_fd = -1, .signal_fd = -1, .timer_fd = -1 };
    struct berth_error err;
    if (open_all(&keeper, &err) < 0) {
        berth_log(BERTH_LOG_ERROR, "keeper_failed", BERTH_LOG_ERR(&err));
        close_all(&keeper);
        return EXIT_TROUBLE;
    }
    keeper.watchdog_ms = berth_notify_watchdog_ms();
    keeper.alive_ms = keeper.watchdog_ms == INT64_MAX ? INT64_MAX : 0;
    start_child(&keeper, clock_ms());
    while (!keeper.is_done) {
        int64_t now_ms = clock_ms();
        int64_t due_ms = next_deadline_ms(&keeper, now_ms);
        gone_wait(keeper.desk, keeper.epoll_fd, due_ms == INT64_MAX ? -1 : due_ms - now_ms);
        step(&keeper, clock_ms());
    }
    close_all(&keeper);
    return keeper.exit_code;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What the lease's own timer does not cover. Never before now. */
static int64_t next_deadline_ms(struct keeper *keeper, int64_t now_ms)
{
    int64_t due_ms = earlier(gone_next_deadline_ms(keeper->desk), keeper->alive_ms);
    switch (keeper->phase) {
    case KEEPER_RUNNING: due_ms = earlier(due_ms, keeper->stop_ms); break;
    case KEEPER_REAPING: due_ms = earlier(due_ms, now_ms + REAP_EVERY_MS); break;
    case KEEPER_RESTING: due_ms = earlier(due_ms, keeper->deadline_ms); break;
    case KEEPER_LEAVING: /* the end of a keeper for a suspect is a signal */
        if (keeper->alone.count == 0)
            due_ms = earlier(due_ms, keeper->deadline_ms);
        break;
    }
    return due_ms < now_ms ? now_ms : due_ms;
}

/* ---- opening and closing ---- */

static int watch_fd(const struct keeper *keeper, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    return epoll_ctl(keeper->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* What the program was started with may block or ignore anything. */
static int open_signals(struct keeper *keeper)
{
    static const int passed_on[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
    sigset_t ours;
    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, SIGCHLD);
    /* A reader of the log that goes away must not take the jobs with it. */
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return -errno;
    /* Ignored, it would not be signalled, and children would vanish without a status. */
    if (signal(SIGCHLD, SIG_DFL) == SIG_ERR)
        return -errno;
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        (void)sigaddset(&ours, passed_on[i]);
    if (sigprocmask(SIG_BLOCK, &ours, &keeper->child_mask) < 0)
        return -errno;
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        (void)sigaddset(&keeper->child_mask, passed_on[i]);
    keeper->signal_fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    return keeper->signal_fd < 0 ? -errno : watch_fd(keeper, keeper->signal_fd);
}

static int open_timer(struct keeper *keeper)
{
    keeper->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    return keeper->timer_fd < 0 ? -errno : watch_fd(keeper, keeper->timer_fd);
}

static int open_all(struct keeper *keeper, struct berth_error *err)
{
    if (keeper->opts->is_alone) { /* the service manager knows one of us */
        (void)unsetenv("NOTIFY_SOCKET");
        (void)unsetenv("WATCHDOG_USEC");
    }
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return berth_fail(err, -errno, "become the subreaper");
    if (getrandom(keeper->nonce, sizeof keeper->nonce, 0) != (ssize_t)sizeof keeper->nonce)
        return berth_fail(err, -errno, "draw a nonce");
    keeper->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (keeper->epoll_fd < 0)
        return berth_fail(err, -errno, "open the keeper's loop");
    int rc = open_signals(keeper);
    if (rc == 0)
        rc = open_timer(keeper);
    if (rc < 0)
        return berth_fail(err, rc, "open the keeper's loop");
    keeper->attempts = calloc(FENCE_ATTEMPTS_MAX, sizeof *keeper->attempts);
    keeper->desk = gone_desk_new(keeper->opts->broker_url, keeper->nonce);
    if (!keeper->attempts || !keeper->desk)
        return berth_fail(err, -ENOMEM, "open the keeper's loop");
    rc = keeper->opts->is_without_cgroup ? 0 : cgroup_open(&keeper->cgroup);
    if (rc < 0)
        berth_log(BERTH_LOG_DEBUG, "no_cgroup", BERTH_LOG_TEXT("reason", berth_strerror(rc)));
    return 0;
}

static void close_all(struct keeper *keeper)
{
    gone_desk_free(keeper->desk);
    cgroup_free(keeper->cgroup);
    free(keeper->attempts);
    berth_close(keeper->timer_fd);
    berth_close(keeper->signal_fd);
    berth_close(keeper->epoll_fd);
}

/* ---- signals ---- */

static void leave(struct keeper *keeper, int exit_code, int64_t now_ms)
{
    keeper->phase = KEEPER_LEAVING;
    keeper->exit_code = exit_code;
    bool has_time = keeper->opts->is_alone && keeper->term_count == 0;
    keeper->deadline_ms = now_ms + (has_time ? KEEPER_ALONE_LEAVE_MS : KEEPER_LEAVE_MS);
}

static void pass_on(const struct keeper *keeper, int sig)
{
    if (sig == SIGHUP || sig == SIGQUIT)
        keeper_alone_signal(&keeper->alone, sig);
    if (keeper->phase == KEEPER_RUNNING && !keeper->child.is_dead)
        (void)kill(keeper->child.pid, sig);
}

static void kill_for(struct keeper *keeper, enum gone_cause cause)
{
    keeper->kill_cause = cause;
    keeper->phase = KEEPER_REAPING;
    keeper_child_kill(&keeper->child);
}

static void take_term(struct keeper *keeper, int64_t now_ms)
{
    keeper->term_count++;
    keeper_alone_signal(&keeper->alone, SIGTERM);
    if (keeper->phase == KEEPER_LEAVING)
        keeper->deadline_ms = earlier(keeper->deadline_ms, now_ms + KEEPER_LEAVE_MS);
    if (keeper->phase == KEEPER_RESTING)
        leave(keeper, EXIT_SUCCESS, now_ms);
    if (keeper->phase != KEEPER_RUNNING)
        return;
    berth_log(BERTH_LOG_INFO, keeper->term_count == 1 ? "draining" : "stopping");
    (void)berth_notify("STOPPING=1");
    if (keeper->term_count == 1) {
        pass_on(keeper, SIGTERM);
    } else if (keeper->term_count == 2) {
        int64_t stop_ms = keeper->opts->stop_ms;
        keeper->stop_ms = now_ms + (stop_ms > 0 ? stop_ms : KEEPER_STOP_MS);
        pass_on(keeper, SIGINT);
    } else {
        kill_for(keeper, GONE_BY_DRAIN);
    }
}

static void take_signals(struct keeper *keeper, int64_t now_ms)
{
    struct signalfd_siginfo info;
    while (read(keeper->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        switch (info.ssi_signo) {
        case SIGTERM:
        case SIGINT: take_term(keeper, now_ms); break;
        case SIGHUP:
        case SIGQUIT: pass_on(keeper, (int)info.ssi_signo); break;
        default: break; /* SIGCHLD: the phases reap */
        }
    }
}

/* ---- the child ---- */

static void rest(struct keeper *keeper, int64_t now_ms)
{
    keeper->phase = KEEPER_RESTING;
    keeper->deadline_ms = now_ms + keeper->backoff_ms;
    int64_t next_ms = keeper->backoff_ms * 2;
    if (next_ms < KEEPER_BACKOFF_MS_MIN)
        next_ms = KEEPER_BACKOFF_MS_MIN;
    keeper->backoff_ms = earlier(next_ms, KEEPER_BACKOFF_MS_MAX);
}

static void set_timer(const struct keeper *keeper, int64_t due_ms)
{
    struct itimerspec spec = { .it_value = { 0, 0 } }; /* off */
    if (due_ms != INT64_MAX && due_ms > 0)
        spec.it_value = (struct timespec){ due_ms / 1000, due_ms % 1000 * 1000000 };
    int rc = timerfd_settime(keeper->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    BERTH_ASSERT(rc == 0);
}

static const char *exe_of(const struct keeper *keeper)
{
    return keeper->opts->exe ? keeper->opts->exe : "/proc/self/exe";
}

/* False: what else was asked for is not started. */
static bool start_one_alone(struct keeper *keeper)
{
    const struct keeper_alone_opts opts = { .exe = exe_of(keeper),
                                            .argc = keeper->opts->argc,
                                            .argv = keeper->opts->argv,
                                            .mask = &keeper->child_mask };
    struct berth_error err;
    if (keeper->opts->is_alone || keeper->term_count > 0)
        return false;
    int rc = keeper_alone_start(&keeper->alone, &opts, &err);
    if (rc == 0)
        berth_log(BERTH_LOG_INFO, "alone_started",
                  BERTH_LOG_I64("pid", keeper->alone.pids[keeper->alone.count - 1]));
    else
        berth_log(BERTH_LOG_WARN, "alone_not_started", BERTH_LOG_ERR(&err));
    return rc == 0;
}

/* As many as the child has asked for since we looked last. Of those for which there is no place one
 * waits: the broker hears of the end of a suspect before its keeper has ended, and asks for the
 * next; the end of that one is a signal. */
static void start_alone(struct keeper *keeper)
{
    uint32_t wanted = fence_alone_wanted(keeper->child.fence);
    while (keeper->alone_started != wanted) {
        bool is_full = keeper->alone.count == KEEPER_ALONE_MAX;
        if (is_full || !start_one_alone(keeper)) {
            keeper->alone_started = is_full ? wanted - 1 : wanted;
            return;
        }
        keeper->alone_started++;
    }
}

static void start_child(struct keeper *keeper, int64_t now_ms)
{
    struct keeper_child_opts opts = {
        .exe = exe_of(keeper),
        .argc = keeper->opts->argc,
        .argv = keeper->opts->argv,
        .mask = &keeper->child_mask,
        .cgroup = keeper->cgroup,
        .alone = &keeper->alone,
        .birth = { .child = keeper->child_count + 1,
                   .epoch_seen = keeper->epoch_seen,
                   .lineage_seen = keeper->lineage_seen,
                   .is_alone = keeper->opts->is_alone,
                   .name_pid = keeper->opts->is_alone ? getppid() : getpid() },
        .now_ms = now_ms,
    };
    memcpy(opts.birth.nonce, keeper->nonce, sizeof keeper->nonce);
    struct berth_error err;
    int rc = keeper_child_start(&opts, &keeper->child, &err);
    if (rc < 0) {
        berth_log(BERTH_LOG_ERROR, "child_not_started", BERTH_LOG_ERR(&err));
        rest(keeper, now_ms);
        return;
    }
    keeper->child_count++;
    keeper->phase = KEEPER_RUNNING;
    keeper->kill_cause = 0;
    keeper->alone_started = 0;
    keeper->stop_ms = INT64_MAX;
    rc = watch_fd(keeper, fence_event_fd(keeper->child.fence));
    if (rc < 0) { /* blind for its lease, so it may not have one */
        berth_log(BERTH_LOG_ERROR, "child_not_watched",
                  BERTH_LOG_TEXT("reason", berth_strerror(rc)));
        kill_for(keeper, GONE_BY_EXIT);
        return;
    }
    berth_log(BERTH_LOG_INFO, "child_started", BERTH_LOG_U64("child", keeper->child.number),
              BERTH_LOG_I64("pid", keeper->child.pid));
}

static void watch_child(struct keeper *keeper, int64_t now_ms)
{
    struct keeper_child *child = &keeper->child;
    uint64_t expirations;
    (void)!read(keeper->timer_fd, &expirations, sizeof expirations);
    fence_event_clear(child->fence);
    (void)keeper_child_reap(child);
    if (child->is_dead) {
        keeper->phase = KEEPER_REAPING;
        return;
    }
    start_alone(keeper);
    bool was_refused = child->is_lease_refused;
    int64_t end_ms = keeper_child_lease_end_ms(child);
    if (child->is_lease_refused && !was_refused)
        berth_log(BERTH_LOG_ERROR, "lease_refused", BERTH_LOG_U64("child", child->number),
                  BERTH_LOG_U64("session", child->session));
    if (child->session != 0 && !keeper->is_ready) {
        (void)berth_notify("READY=1");
        keeper->is_ready = true;
    }
    if (now_ms >= end_ms)
        kill_for(keeper, GONE_BY_LEASE);
    else if (now_ms >= keeper->stop_ms)
        kill_for(keeper, GONE_BY_DRAIN);
    else
        set_timer(keeper, end_ms);
}

static enum gone_cause cause_of(const struct keeper *keeper)
{
    int status = keeper->child.status;
    if (keeper->kill_cause)
        return keeper->kill_cause;
    if (WIFSIGNALED(status))
        return GONE_BY_SIGNAL;
    switch (WEXITSTATUS(status)) {
    case KEEPER_CHILD_DRAINED: return GONE_BY_DRAIN;
    case KEEPER_CHILD_LEASE_OVER: return GONE_BY_LEASE;
    case KEEPER_CHILD_FENCED:
    case KEEPER_CHILD_FORCED: return GONE_BY_FENCE; /* the broker said so */
    default: return GONE_BY_EXIT;
    }
}

/* Whether the child would not even begin: then there is nothing to prove, and no use in another. */
static bool is_refusal(const struct keeper_child *child, enum gone_cause cause)
{
    if (cause != GONE_BY_EXIT || child->session != 0 || !WIFEXITED(child->status))
        return false;
    int status = WEXITSTATUS(child->status);
    return status == KEEPER_CHILD_REFUSED || status == KEEPER_CHILD_USAGE;
}

/* Everything is dead: the certificate. */
static void certify(struct keeper *keeper, enum gone_cause cause, int64_t now_ms)
{
    struct keeper_child *child = &keeper->child;
    int status = child->status;
    struct gone_notice notice = {
        .session = child->session >= BERTH_FENCED_ID_MIN ? child->session : 0,
        .child = child->number,
        .cause = cause,
        .status = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
        .attempts = keeper->attempts,
        .count = fence_attempts(child->fence, keeper->attempts, FENCE_ATTEMPTS_MAX),
        .culprit = fence_culprit(child->fence),
    };
    if (keeper->opts->is_alone && notice.count == 1) /* there was nobody else */
        notice.culprit = keeper->attempts[0].attempt;
    berth_log(cause == GONE_BY_DRAIN ? BERTH_LOG_INFO : BERTH_LOG_WARN, "child_gone",
              BERTH_LOG_U64("child", child->number), BERTH_LOG_U64("session", child->session),
              BERTH_LOG_TEXT("cause", gone_cause_name(cause)),
              BERTH_LOG_I64("status", notice.status), BERTH_LOG_U64("attempts", notice.count),
              BERTH_LOG_U64("culprit", notice.culprit));
    int rc = gone_add(keeper->desk, &notice, now_ms);
    if (rc < 0)
        berth_log(BERTH_LOG_ERROR, "certificate_lost",
                  BERTH_LOG_TEXT("reason", berth_strerror(rc)));
}

/* The child is dead and so is all that it left: what now? */
static void go_on(struct keeper *keeper, enum gone_cause cause, bool is_refused, int status,
                  int64_t now_ms)
{
    if (is_refused) {
        leave(keeper, WEXITSTATUS(status), now_ms);
    } else if (cause == GONE_BY_DRAIN || keeper->opts->is_alone) {
        leave(keeper, EXIT_SUCCESS, now_ms);
    } else if (keeper->term_count > 0) {
        berth_log(BERTH_LOG_ERROR, "drain_failed");
        leave(keeper, EXIT_TROUBLE, now_ms);
    } else {
        rest(keeper, now_ms);
    }
}

static void reap_child(struct keeper *keeper, int64_t now_ms)
{
    struct keeper_child *child = &keeper->child;
    keeper_child_kill(child);
    if (!keeper_child_reap(child))
        return;
    BERTH_ASSERT(child->is_dead);
    set_timer(keeper, INT64_MAX);
    (void)epoll_ctl(keeper->epoll_fd, EPOLL_CTL_DEL, fence_event_fd(child->fence), NULL);
    /* The last look: it may have said something since the one before. */
    struct fence_state said;
    fence_read(child->fence, &said);
    if (child->session == 0)
        child->session = said.session;
    if (said.epoch_seen > keeper->epoch_seen && said.epoch_seen <= BERTH_EPOCH_MAX) {
        keeper->epoch_seen = said.epoch_seen;
        keeper->lineage_seen = said.lineage_seen;
    }
    enum gone_cause cause = cause_of(keeper);
    bool is_refused = is_refusal(child, cause);
    int status = child->status;
    if (!is_refused)
        certify(keeper, cause, now_ms);
    if (now_ms - child->born_ms >= KEEPER_YOUNG_MS)
        keeper->backoff_ms = 0;
    keeper_child_fini(child);
    go_on(keeper, cause, is_refused, status, now_ms);
}

static void tell_broker(struct keeper *keeper, int64_t now_ms)
{
    struct gone_news news;
    gone_turn(keeper->desk, now_ms, &news);
    if (news.acknowledged_count > 0)
        berth_log(BERTH_LOG_INFO, "gone_acknowledged",
                  BERTH_LOG_U64("count", news.acknowledged_count));
    if (news.trouble.code != 0)
        berth_log(BERTH_LOG_WARN, "gone_refused", BERTH_LOG_ERR(&news.trouble));
}
