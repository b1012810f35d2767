/* SPDX-License-Identifier: MIT */
/* A dispatcher of the user's, for the tests of those: an event loop with a thread of its own. */
#pragma once

#include "wefttest.h"

/* An event loop as a user would write one: a queue that needs no memory, and a thread. */
struct event_loop {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct weft_work *first, *last;
    int held, taken,
        refuse_from; /* work in the queue; ever taken; refused once so much was taken */
    bool is_stopping;
    pthread_t thread;
    struct weft_dispatcher *d;
};

extern const struct weft_dispatcher_ops loop_ops; /* without is_here */
int loop_dispatch(void *self, struct weft_work *work);
bool loop_is_here(void *self);

/* A dispatcher that nobody runs yet; its thread; and back. */
void loop_open(struct event_loop *loop, const struct weft_dispatcher_ops *ops);
void loop_start(struct event_loop *loop);
void loop_stop(struct event_loop *loop);
void loop_close(struct event_loop *loop);            /* stops it first */
struct weft_work *loop_pop(struct event_loop *loop); /* NULL: it is empty */
bool has_work(void *loop);

/* What coroutines on it saw. */
struct seen {
    struct event_loop *loop;
    struct weft_dispatcher *on, *before, *after, *at_the_end;
    int count, rc, other_rc;
    bool was_there, came_back;
    atomic_bool is_inside, may_go;
};

/* Coroutine: notes where it is; 5. */
int note(void *seen);
/* Coroutine: sleeps until it really has to wake: a sleep may be over before it has begun. */
int sleep_and_wake(void);
