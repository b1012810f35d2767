/* SPDX-License-Identifier: MIT
 *
 * One thread of the set (thread_set.h): its memory, how it is started, and what it is called. Who
 * goes where is the set's to say, under whose lock most of this stands.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/list.h"

#include "self.h"
#include "turn.h"

struct set_thread {
    struct weft_thread base;
    pthread_t id;
    pthread_cond_t wake;
    unsigned number;          /* in its name */
    bool is_in_pool;          /* one that can be closed, and has its name */
    bool is_leaving;          /* it ends because it had nothing to do */
    struct weft_seat *home;   /* the seat that it watches */
    struct weft_seat *before; /* the seat that it gave up last */
    struct weft_turns promised;
    struct berth_list_node node; /* in idle, retired or spare */
};

/* One that is called weft-NUMBER, and does not run yet; NULL: no memory. */
struct set_thread *weft_set_thread_new(unsigned number);
/* It has been joined, or never ran. */
void weft_set_thread_free(struct set_thread *thread);
/* Runs fn(thread), with all signals blocked but those that a thread brings on itself. 0 or
 * -errno. */
int weft_set_thread_start(struct set_thread *thread, void *(*fn)(void *thread));
