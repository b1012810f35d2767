/* SPDX-License-Identifier: MIT */
#include "stress_body.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FAILURE (-5000)

enum { DEPTH_MAX = 4, LIVE_MAX = 500, ASYNC_MAX = 4, ITEMS = 20 };

struct stress_world world;

static int body(struct item *self);

void wrong(const char *what)
{
    const char *none = NULL;
    (void)atomic_compare_exchange_strong(&world.wrong, &none, what);
}

unsigned draw(struct item *self, unsigned limit)
{
    uint64_t mixed = self->state += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((mixed ^ (mixed >> 31)) % limit);
}

struct item child_of(struct item *self)
{
    return (struct item){ .state = self->state ^ ((uint64_t)draw(self, UINT32_MAX) << 20),
                          .depth = self->depth + 1 };
}

struct weft_dispatcher *place(struct item *self)
{
    return world.places[draw(self, PLACES)];
}

/* What a coroutine may get to see when nothing is wrong with weft. */
static int expect(int rc)
{
    switch (rc) {
    case -ECANCELED: world.cancelled++; return rc;
    case -ETIMEDOUT: world.timed_out++; return rc;
    case FAILURE:
    case WEFT_ECHILD: return rc;
    default: break;
    }
    if (rc < 0)
        wrong("a result that cannot be");
    return rc;
}

static void launch(struct weft_scope *scope, struct weft_dispatcher *d, weft_fn fn,
                   struct item item)
{
    world.accepted++;
    int rc = weft_launch_copy(scope, d, fn, &item, sizeof item);
    if (rc == 0)
        return;
    world.accepted--;
    if (rc != -ECANCELED)
        wrong("a start was refused");
}

static int run_in_any_case(void *arg)
{
    world.begun++;
    world.live++;
    struct item self = *(struct item *)arg;
    int rc = body(&self);
    world.live--;
    world.ended++;
    return rc;
}

/* ---- what coroutines do -----------------------------------------------------------------------
 */

static void on_failure(void *arg, const char *task, int rc)
{
    (void)arg;
    (void)task;
    (void)expect(rc);
}

static int grow(struct item *self)
{
    struct weft_scope scope;
    switch (draw(self, 5)) {
    case 0:
        weft_supervisor_open(&scope);
        weft_scope_on_failure(&scope, on_failure, NULL);
        break;
    case 1: weft_shield_open(&scope, 1 + draw(self, 20)); break;
    default: weft_scope_open(&scope); break;
    }
    if (draw(self, 4) == 0)
        weft_scope_deadline(&scope, weft_now_ns() + draw(self, 3000000));
    unsigned count = 1 + draw(self, 4);
    for (unsigned i = 0; i < count; i++)
        launch(&scope, place(self), run_in_any_case, child_of(self));
    int rc = 0;
    switch (draw(self, 8)) {
    case 0: weft_scope_cancel(&scope); break;
    case 1: weft_scope_cancel_children(&scope); break;
    case 2: rc = body(&(struct item){ .state = self->state + 1, .depth = self->depth + 1 }); break;
    default: break;
    }
    return weft_scope_close(&scope, rc);
}

int run_call(void *arg)
{
    struct call *call = arg;
    call->begun++;
    world.live++;
    struct item item = call->item;
    int rc = body(&item);
    world.live--;
    call->rc = rc;
    call->ended++;
    return rc;
}

void check_call(const struct call *call, int rc)
{
    if (call->begun > 1 || call->begun != call->ended)
        wrong("an awaited coroutine ran twice, or has not ended");
    else if (call->begun == 0 && rc != WEFT_ECHILD)
        wrong("one that never began has a result");
    else if (call->begun == 1 && rc != call->rc && !(rc == WEFT_ECHILD && call->rc == -ECANCELED))
        wrong("another result than that of the coroutine");
}

static int await_some(struct item *self)
{
    struct call calls[ASYNC_MAX];
    struct weft_task *tasks[ASYNC_MAX];
    struct weft_scope scope;
    weft_supervisor_open(&scope);
    unsigned count = 1 + draw(self, ASYNC_MAX);
    for (unsigned i = 0; i < count; i++) {
        calls[i] = (struct call){ .item = child_of(self) };
        struct weft_task_opts opts = { .start = draw(self, 4) };
        /* Such a start runs here, whatever its dispatcher: on a serial one not alone. */
        bool is_here = opts.start == WEFT_START_UNDISPATCHED;
        struct weft_dispatcher *d = is_here ? weft_default() : place(self);
        tasks[i] = weft_async_opts(&scope, d, run_call, &calls[i], &opts);
        if (opts.start == WEFT_START_HELD && draw(self, 2) == 0)
            weft_task_release(tasks[i]);
    }
    if (draw(self, 3) == 0)
        weft_cancel(tasks[draw(self, count)]);
    int rc = 0;
    for (unsigned i = 0; i < count && rc != -ECANCELED; i++) {
        rc = draw(self, 4) == 0 ? weft_await_until(tasks[i], weft_now_ns() + draw(self, 1000000))
                                : weft_await(tasks[i]);
        if (tasks[i] && rc != -ECANCELED && rc != -ETIMEDOUT)
            check_call(&calls[i], rc);
    }
    rc = weft_scope_close(&scope, rc == -ECANCELED ? rc : 0);
    for (unsigned i = 0; i < count; i++) {
        if (calls[i].begun > 1 || calls[i].begun != calls[i].ended)
            wrong("a scope has closed before its children ended");
    }
    return rc;
}

struct flow {
    struct weft_chan *chan;
    atomic_long sent, received;
};

static int send_items(void *arg)
{
    struct flow *flow = arg;
    int rc = 0;
    for (long i = 0; i < ITEMS && rc == 0; i++) {
        rc = weft_chan_send(flow->chan, &i, sizeof i, WEFT_NEVER);
        flow->sent += rc == 0;
    }
    weft_chan_close(flow->chan);
    return rc == -EPIPE ? 0 : rc;
}

static int receive_items(void *arg)
{
    struct flow *flow = arg;
    long item;
    int rc;
    while ((rc = weft_chan_recv(flow->chan, &item, sizeof item, WEFT_NEVER)) > 0)
        flow->received++;
    return rc;
}

static int use_channel(struct item *self)
{
    struct flow flow = { .sent = 0 };
    if (weft_chan_new(sizeof(long), draw(self, 4), NULL, &flow.chan) < 0)
        return -ENOMEM;
    struct weft_scope scope;
    weft_scope_open(&scope);
    bool are_there = weft_launch(&scope, place(self), receive_items, &flow) == 0 &&
                     weft_launch(&scope, place(self), send_items, &flow) == 0;
    if (draw(self, 8) == 0)
        weft_scope_deadline(&scope, weft_now_ns() + draw(self, 300000));
    int rc = weft_scope_close(&scope, 0);
    long item;
    while (weft_chan_recv(flow.chan, &item, sizeof item, 0) > 0)
        flow.received++; /* not, if we are cancelled: then they are dropped */
    if (rc >= 0 && are_there && (flow.sent != flow.received || flow.sent != ITEMS))
        wrong("items of a channel were lost or doubled");
    weft_chan_free(flow.chan);
    world.sent += flow.sent;
    world.received += flow.received;
    return rc;
}

struct pipe_ends {
    int ends[2];
};

static int wait_and_read(void *arg)
{
    const struct pipe_ends *pipe_ends = arg;
    int rc = weft_fd_wait(pipe_ends->ends[0], POLLIN, WEFT_NEVER);
    char byte;
    if (rc > 0 && read(pipe_ends->ends[0], &byte, 1) != 1)
        wrong("a descriptor was said to be ready and was not");
    return rc < 0 ? rc : 0;
}

static int write_byte(void *arg)
{
    const struct pipe_ends *pipe_ends = arg;
    int rc = weft_yield();
    if (write(pipe_ends->ends[1], "x", 1) != 1 && rc == 0)
        wrong("a byte could not be written to a pipe");
    return rc;
}

static int use_pipe(struct item *self)
{
    struct pipe_ends ends;
    if (pipe2(ends.ends, O_CLOEXEC) < 0)
        return 0;
    struct weft_scope scope;
    weft_scope_open(&scope);
    (void)weft_launch(&scope, place(self), wait_and_read, &ends);
    (void)weft_launch(&scope, place(self), write_byte, &ends);
    int rc = weft_scope_close(&scope, 0);
    if (weft_fd_close(ends.ends[0]) < 0 || weft_fd_close(ends.ends[1]) < 0)
        wrong("a pipe could not be closed");
    return rc;
}

static int use_mutex(struct item *self)
{
    int64_t deadline_ns = draw(self, 3) == 0 ? weft_now_ns() + draw(self, 100000) : WEFT_NEVER;
    int rc = weft_mutex_lock(&world.mutex, deadline_ns);
    if (rc < 0)
        return rc == -ETIMEDOUT ? 0 : rc;
    world.locked_exact++;
    world.locked++;
    if (draw(self, 4) == 0)
        rc = weft_yield();
    weft_mutex_unlock(&world.mutex);
    return rc;
}

static int step_in_series(void *arg)
{
    (void)arg;
    world.in_series++;
    world.in_series_exact++;
    return 0;
}

static int touch(void *arg)
{
    *(struct weft_dispatcher **)arg = weft_current();
    return 0;
}

static int move(struct item *self)
{
    struct weft_dispatcher *home = weft_current(), *seen = NULL;
    int rc = weft_with(place(self), touch, &seen);
    if (rc == 0 && !seen)
        wrong("a coroutine did not move and heard nothing");
    if (weft_current() != home)
        wrong("a coroutine did not come back");
    return rc;
}

/* On virtual: all of it parks. */
static int call_libc(void *arg)
{
    struct item *self = arg;
    int ends[2];
    char byte = 0;
    (void)usleep(draw(self, 1000)); /* sleeps: so do those whom it tests */
    if (pthread_mutex_lock(&world.libc_mutex) == 0) {
        world.libc_locked_exact++;
        world.libc_locked++;
        if (draw(self, 8) == 0)
            (void)usleep(100); /* sleeps: with the lock held */
        (void)pthread_mutex_unlock(&world.libc_mutex);
    }
    if (pipe2(ends, O_CLOEXEC) < 0)
        return 0;
    if (write(ends[1], "x", 1) == 1 && read(ends[0], &byte, 1) == 1 && byte != 'x')
        wrong("read() gave another byte than write() took");
    (void)close(ends[0]);
    (void)close(ends[1]);
    return 0;
}

/* What weft does not see: it blocks the thread. */
static int block(void *arg)
{
    const struct timespec time = { .tv_nsec = draw(arg, 2) == 0 ? 100000 : 8000000 };
    (void)syscall(SYS_nanosleep, &time, NULL);
    return 0;
}

static int calculate(struct item *self)
{
    int64_t until_ns = weft_now_ns() + draw(self, 200000);
    while (weft_now_ns() < until_ns) {
    }
    return weft_yield();
}

static int run_leaf(void *arg)
{
    struct item self = *(struct item *)arg;
    self.depth = DEPTH_MAX;
    return body(&self);
}

static int with_timeout(struct item *self)
{
    struct item item = child_of(self);
    int rc = weft_timeout_ms(draw(self, 4), run_leaf, &item);
    return rc == -ETIMEDOUT ? 0 : rc;
}

/* Whatever needs no children. */
static int act(struct item *self)
{
    switch (draw(self, 10)) {
    case 0: return weft_yield();
    case 1: return weft_sleep_ms(draw(self, 3));
    case 2: return weft_sleep_until(weft_now_ns() + draw(self, 200000));
    case 3: return use_mutex(self);
    case 4: return move(self);
    case 5: return weft_with(world.serial, step_in_series, NULL);
    case 6: return weft_with(weft_virtual(), call_libc, self);
    case 7: return draw(self, 8) == 0 ? weft_with(weft_virtual(), block, self) : weft_check();
    case 8: return draw(self, 4) == 0 ? weft_with(weft_io(), block, self) : weft_check();
    default: return calculate(self);
    }
}

static int do_something(struct item *self)
{
    if (self->depth >= DEPTH_MAX || world.live > LIVE_MAX || world.is_over)
        return act(self);
    switch (draw(self, 8)) {
    case 0:
    case 1: return grow(self);
    case 2: return await_some(self);
    case 3: return use_channel(self);
    case 4: return use_pipe(self);
    case 5: return with_timeout(self);
    default: return act(self);
    }
}

static int body(struct item *self)
{
    unsigned count = 1 + draw(self, 5);
    int rc = 0;
    for (unsigned i = 0; i < count && rc >= 0; i++)
        rc = expect(do_something(self));
    if (rc >= 0 && draw(self, 40) == 0) {
        world.failed++;
        rc = FAILURE;
    }
    return rc < 0 ? rc : 0;
}
