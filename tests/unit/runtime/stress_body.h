/* SPDX-License-Identifier: MIT */
/* What the coroutines of test_stress.c do: at random, all that weft has. */
#pragma once

#include "wefttest.h"

#define PLACES 12

/* What is true of a round: the test sets it up and looks at it when the round is over. */
struct stress_world {
    uint64_t seed;
    struct weft_dispatcher *places[PLACES];
    struct weft_dispatcher *serial;
    atomic_bool is_over, has_ended;
    atomic_long live;                   /* coroutines, about */
    atomic_long accepted, begun, ended; /* to run in any case */
    atomic_long sent, received;         /* items of channels */
    struct weft_mutex mutex;            /* guards: */
    long locked;                        /* plain */
    atomic_long locked_exact;
    pthread_mutex_t libc_mutex; /* guards: */
    long libc_locked;
    atomic_long libc_locked_exact;
    long in_series; /* on `serial` only */
    atomic_long in_series_exact;
    atomic_long cancelled, timed_out, failed; /* so that one sees that it happened */
    _Atomic(const char *) wrong;
};
extern struct stress_world world;

/* What a coroutine does follows from this. */
struct item {
    uint64_t state; /* of its generator */
    int depth;
};

/* 0 .. limit - 1, by splitmix64. */
unsigned draw(struct item *self, unsigned limit);
struct item child_of(struct item *self);
struct weft_dispatcher *place(struct item *self);
/* The first thing that was wrong is kept. */
void wrong(const char *what);

/* A coroutine that somebody awaits, and how it went. */
struct call {
    struct item item;
    atomic_int begun, ended;
    int rc;
};

int run_call(void *call);
/* That it ran at most once, and has ended with `rc`. */
void check_call(const struct call *call, int rc);
