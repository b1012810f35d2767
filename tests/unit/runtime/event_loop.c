/* SPDX-License-Identifier: MIT */
#include "event_loop.h"

int loop_dispatch(void *self, struct weft_work *work)
{
    struct event_loop *loop = self;
    (void)pthread_mutex_lock(&loop->lock);
    bool is_refused = loop->taken >= loop->refuse_from;
    if (!is_refused) {
        work->next = NULL;
        if (loop->first)
            loop->last->next = work;
        else
            loop->first = work;
        loop->last = work;
        loop->held++;
        loop->taken++;
        (void)pthread_cond_signal(&loop->changed);
    }
    (void)pthread_mutex_unlock(&loop->lock);
    return is_refused ? -EOVERFLOW : 0;
}

struct weft_work *loop_pop(struct event_loop *loop)
{
    struct weft_work *work = loop->first;
    if (work) {
        loop->first = work->next;
        loop->held--;
    }
    return work;
}

static void *loop_run(void *arg)
{
    struct event_loop *loop = arg;
    (void)pthread_mutex_lock(&loop->lock);
    while (!loop->is_stopping) {
        struct weft_work *work = loop_pop(loop);
        if (!work) {
            (void)pthread_cond_wait(&loop->changed, &loop->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&loop->lock);
        weft_work_run(work);
        (void)pthread_mutex_lock(&loop->lock);
    }
    (void)pthread_mutex_unlock(&loop->lock);
    return NULL;
}

bool loop_is_here(void *self)
{
    return pthread_equal(pthread_self(), ((struct event_loop *)self)->thread);
}

const struct weft_dispatcher_ops loop_ops = { .dispatch = loop_dispatch };

void loop_start(struct event_loop *loop)
{
    assert_int_equal(pthread_create(&loop->thread, NULL, loop_run, loop), 0);
}

void loop_open(struct event_loop *loop, const struct weft_dispatcher_ops *ops)
{
    *loop = (struct event_loop){
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
        .refuse_from = INT32_MAX,
    };
    assert_int_equal(weft_dispatcher_open(ops, loop, "loop", &loop->d), 0);
}

void loop_stop(struct event_loop *loop)
{
    (void)pthread_mutex_lock(&loop->lock);
    loop->is_stopping = true;
    (void)pthread_cond_signal(&loop->changed);
    (void)pthread_mutex_unlock(&loop->lock);
    assert_int_equal(pthread_join(loop->thread, NULL), 0);
}

void loop_close(struct event_loop *loop)
{
    loop_stop(loop);
    assert_int_equal(weft_dispatcher_close(loop->d), 0);
}

bool has_work(void *arg)
{
    struct event_loop *loop = arg;
    (void)pthread_mutex_lock(&loop->lock);
    bool has_some = loop->held > 0;
    (void)pthread_mutex_unlock(&loop->lock);
    return has_some;
}

int note(void *arg)
{
    struct seen *seen = arg;
    seen->before = weft_current();
    seen->was_there = pthread_equal(pthread_self(), seen->loop->thread);
    seen->count++;
    return 5;
}

int sleep_and_wake(void)
{
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    int rc = 0;
    while (rc == 0 && weft_now_ns() < deadline_ns)
        rc = weft_sleep_ms(1);
    return rc;
}
