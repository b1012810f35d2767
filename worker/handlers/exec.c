/* SPDX-License-Identifier: MIT
 *
 * The exec thread, and the inbox through which other threads ask it to start and to cancel runs.
 * What a run is, is exec_run.c's.
 */
#include "worker/handlers/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/map.h"
#include "worker/handlers/exec_plan.h"
#include "worker/handlers/exec_run.h"

#define EVENTS_MAX       64
#define ORPHANS_EVERY_MS 10

struct exec {
    void (*on_end)(void *arg, uint64_t attempt, const struct exec_end *end);
    void *arg;
    char *work_dir;
    struct exec_surroundings surroundings;
    int wake_fd;
    pthread_t thread;

    pthread_mutex_t lock;
    struct berth_map runs; /* all that exec_start() took and that has not ended */
    struct berth_list inbox;
    bool is_closing;

    /* The thread's. */
    struct exec_host host;
    struct berth_list over;    /* the channel has ended */
    struct berth_list orphans; /* shim and nursery were killed, and its group is not dead yet */
};

static void *exec_thread(void *arg);

/* ---- opening and closing ---- */

static void exec_free(struct exec *exec)
{
    berth_close(exec->host.epoll_fd);
    berth_close(exec->host.null_fd);
    berth_close(exec->wake_fd);
    exec_surroundings_fini(&exec->surroundings);
    berth_map_fini(&exec->runs);
    (void)pthread_mutex_destroy(&exec->host.output_lock);
    (void)pthread_mutex_destroy(&exec->lock);
    free(exec->work_dir);
    free(exec);
}

static int check_dir(const char *path, struct berth_error *err)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return berth_fail(err, -errno, "work dir '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return berth_fail(err, -ENOTDIR, "work dir '%s'", path);
    if (access(path, X_OK) < 0)
        return berth_fail(err, -errno, "work dir '%s'", path);
    return 0;
}

/* An attempt takes four descriptors here, so what the process may have is raised to the hard limit.
 * Commands get the limit that there was: programs that use select() die of a higher one. */
static uint64_t raise_descriptor_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    rlim_t was = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return was;
}

static int open_descriptors(struct exec *exec, struct berth_error *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    exec->host.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    exec->host.null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    exec->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (exec->host.epoll_fd < 0 || exec->host.null_fd < 0 || exec->wake_fd < 0 ||
        epoll_ctl(exec->host.epoll_fd, EPOLL_CTL_ADD, exec->wake_fd, &event) < 0)
        return berth_fail(err, -errno, "prepare to run commands");
    return 0;
}

/* With all signals blocked: they are for the program's main loop, and shims inherit the mask. */
static int start_thread(struct exec *exec, struct berth_error *err)
{
    sigset_t all, was;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &was);
    int rc = pthread_create(&exec->thread, NULL, exec_thread, exec);
    (void)pthread_sigmask(SIG_SETMASK, &was, NULL);
    return rc == 0 ? 0 : berth_fail(err, -rc, "start the thread that runs commands");
}

int exec_open(const struct exec_opts *opts, struct exec **ret_exec, struct berth_error *err)
{
    int rc = check_dir(opts->work_dir, err);
    if (rc < 0)
        return rc;
    struct exec *exec = calloc(1, sizeof *exec);
    if (!exec)
        return berth_fail(err, -ENOMEM, "prepare to run commands");
    exec->on_end = opts->on_end;
    exec->arg = opts->arg;
    exec->host.nursery = (struct nursery){ .fd = -1 };
    exec->host.on_output = opts->on_output;
    exec->host.arg = opts->arg;
    berth_list_init(&exec->inbox);
    berth_list_init(&exec->over);
    berth_list_init(&exec->orphans);
    (void)pthread_mutex_init(&exec->lock, NULL);
    (void)pthread_mutex_init(&exec->host.output_lock, NULL);
    exec->host.descriptor_max = raise_descriptor_max();
    exec->host.work_dir = exec->work_dir = strdup(opts->work_dir);
    rc = open_descriptors(exec, err);
    if (rc == 0 && !exec->work_dir)
        rc = berth_fail(err, -ENOMEM, "prepare to run commands");
    if (rc == 0)
        rc = exec_surroundings_init(&exec->surroundings, err);
    if (rc == 0)
        rc = start_thread(exec, err);
    if (rc < 0) {
        exec_free(exec);
        return rc;
    }
    *ret_exec = exec;
    return 0;
}

static void wake(struct exec *exec)
{
    uint64_t one = 1;
    ssize_t bytes = write(exec->wake_fd, &one, sizeof one);
    (void)bytes; /* EAGAIN alone: it is awake */
}

/* ---- the inbox: under the lock ---- */

static struct exec_run *run_of(struct berth_map_node *node)
{
    return berth_container_of(node, struct exec_run, by_attempt);
}

static void put_into_inbox(struct exec *exec, struct exec_run *run)
{
    if (!berth_list_is_linked(&run->inbox_node))
        berth_list_push_back(&exec->inbox, &run->inbox_node);
}

static void ask_to_cancel(struct exec *exec, struct exec_run *run, int64_t grace_ms)
{
    if (!run->is_cancelled || grace_ms < run->grace_ms)
        run->grace_ms = grace_ms;
    run->is_cancelled = true;
    put_into_inbox(exec, run);
}

void exec_close(struct exec *exec)
{
    if (!exec)
        return;
    (void)pthread_mutex_lock(&exec->lock);
    exec->is_closing = true;
    BERTH_MAP_FOREACH (node, &exec->runs)
        ask_to_cancel(exec, run_of(node), 0);
    (void)pthread_mutex_unlock(&exec->lock);
    wake(exec);
    (void)pthread_join(exec->thread, NULL);
    exec_free(exec);
}

int exec_start(struct exec *exec, const struct exec_command *command, struct berth_error *err)
{
    struct exec_run *run;
    int rc = exec_run_new(&exec->surroundings, command, &run, err);
    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&exec->lock);
    rc = exec->is_closing ? -ECANCELED : 0;
    if (rc == 0)
        rc = berth_map_insert_id(&exec->runs, &run->by_attempt, run->attempt);
    if (rc == 0)
        put_into_inbox(exec, run);
    (void)pthread_mutex_unlock(&exec->lock);
    if (rc < 0) {
        exec_run_free(&exec->host, run);
        return berth_fail(err, rc, "start a command");
    }
    wake(exec);
    return 0;
}

void exec_cancel(struct exec *exec, uint64_t attempt, int64_t grace_ms)
{
    if (grace_ms < 0)
        grace_ms = 0;
    if (grace_ms > EXEC_GRACE_MS_MAX)
        grace_ms = EXEC_GRACE_MS_MAX;
    (void)pthread_mutex_lock(&exec->lock);
    struct berth_map_node *node = berth_map_find_id(&exec->runs, attempt);
    if (node)
        ask_to_cancel(exec, run_of(node), grace_ms);
    (void)pthread_mutex_unlock(&exec->lock);
    wake(exec);
}

/* With both locks held. */
static size_t peek(const struct exec_output *output, uint64_t *from, void *to, size_t bytes_max,
                   size_t *ret_left)
{
    struct berth_slice kept = exec_output_after(output, from);
    size_t bytes = kept.bytes < bytes_max ? kept.bytes : bytes_max;
    if (to && bytes > 0)
        memcpy(to, kept.data, bytes);
    *ret_left = kept.bytes - bytes;
    return bytes;
}

size_t exec_peek(struct exec *exec, uint64_t attempt, enum exec_stream stream, uint64_t *from,
                 void *to, size_t bytes_max, size_t *ret_left)
{
    size_t bytes = 0;
    *ret_left = 0;
    (void)pthread_mutex_lock(&exec->lock);
    struct berth_map_node *node = berth_map_find_id(&exec->runs, attempt);
    if (node) {
        const struct exec_run *run = run_of(node);
        (void)pthread_mutex_lock(&exec->host.output_lock);
        bytes = peek(stream == EXEC_STDOUT ? &run->out : &run->err, from, to, bytes_max, ret_left);
        (void)pthread_mutex_unlock(&exec->host.output_lock);
    }
    (void)pthread_mutex_unlock(&exec->lock);
    return bytes;
}

/* ---- the thread ---- */

struct request {
    struct exec_run *run;
    bool is_new, is_cancelled;
    int64_t grace_ms;
};

static bool take_request(struct exec *exec, struct request *ret_request)
{
    (void)pthread_mutex_lock(&exec->lock);
    struct berth_list_node *node = berth_list_pop_front(&exec->inbox);
    if (node) {
        struct exec_run *run = berth_container_of(node, struct exec_run, inbox_node);
        *ret_request = (struct request){ .run = run,
                                         .is_new = run->is_new,
                                         .is_cancelled = run->is_cancelled,
                                         .grace_ms = run->grace_ms };
        run->is_new = false;
    }
    (void)pthread_mutex_unlock(&exec->lock);
    return node != NULL;
}

/* The run is over, or (`refused`) could not be started: says so and forgets it. */
static void finish(struct exec *exec, struct exec_run *run, const struct berth_error *refused)
{
    struct berth_error memory;
    struct exec_end end;
    exec_run_end(&exec->host, run, refused, &memory, &end);
    (void)pthread_mutex_lock(&exec->lock);
    berth_map_remove(&exec->runs, &run->by_attempt);
    if (berth_list_is_linked(&run->inbox_node))
        berth_list_remove(&run->inbox_node);
    end.is_cancelled = run->is_cancelled;
    (void)pthread_mutex_unlock(&exec->lock);
    exec->on_end(exec->arg, run->attempt, &end);
    exec_run_free(&exec->host, run);
}

static void start(struct exec *exec, const struct request *request)
{
    struct berth_error refused;
    int rc = request->is_cancelled
                 ? berth_fail(&refused, -ECANCELED, "cancelled before it was started")
                 : exec_run_start(&exec->host, request->run, &refused);
    if (rc < 0)
        finish(exec, request->run, &refused);
}

static void take_requests(struct exec *exec)
{
    struct request request;
    while (take_request(exec, &request)) {
        if (request.is_new)
            start(exec, &request);
        else if (request.is_cancelled)
            exec_run_cancel(request.run, request.grace_ms);
    }
}

static void bury_all(struct exec *exec)
{
    struct berth_list waiting;
    berth_list_init(&waiting);
    berth_list_splice_back(&waiting, &exec->orphans);
    berth_list_splice_back(&waiting, &exec->over);
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&waiting)) != NULL) {
        struct exec_run *run = berth_container_of(node, struct exec_run, over_node);
        if (exec_run_bury(run))
            finish(exec, run, NULL);
        else
            berth_list_push_back(&exec->orphans, node);
    }
}

static void take_events(struct exec *exec)
{
    struct epoll_event events[EVENTS_MAX];
    int timeout_ms = berth_list_is_empty(&exec->orphans) ? -1 : ORPHANS_EVERY_MS;
    int count = epoll_wait(exec->host.epoll_fd, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < count; i++) {
        struct exec_watch *watch = events[i].data.ptr;
        uint64_t wakes;
        if (!watch)
            (void)!read(exec->wake_fd, &wakes, sizeof wakes);
        else if (exec_run_handle(&exec->host, watch))
            berth_list_push_back(&exec->over, &watch->run->over_node);
    }
}

static bool is_finished(struct exec *exec)
{
    (void)pthread_mutex_lock(&exec->lock);
    bool is_it = exec->is_closing && berth_map_count(&exec->runs) == 0;
    (void)pthread_mutex_unlock(&exec->lock);
    return is_it;
}

static void *exec_thread(void *arg)
{
    struct exec *exec = arg;
    /* Here, for its life hangs on the thread; if it fails, the first command tries again. */
    (void)nursery_open(&exec->host.nursery);
    while (!is_finished(exec)) {
        take_events(exec);
        /* Runs are freed here alone: another event of the batch may have pointed at one. */
        take_requests(exec);
        bury_all(exec);
    }
    nursery_close(&exec->host.nursery);
    return NULL;
}
