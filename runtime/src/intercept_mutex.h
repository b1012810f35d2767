/* SPDX-License-Identifier: MIT
 *
 * For intercept_cond.c: mutexes as a condition's wait gives them back and takes them again.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "intercept_queue.h"

struct weft_task;

extern struct weft_park_table weft_call_mutexes;

/* pthread_mutex_lock() of a coroutine inside a call. */
int weft_call_mutex_lock(struct weft_task *self, pthread_mutex_t *mutex);

/* pthread_mutex_unlock(), of anybody. */
int weft_call_mutex_unlock(pthread_mutex_t *mutex);

/* Makes a mutex that this coroutine holds the thread's, for a call of libc's own. */
void weft_call_mutex_to_thread(pthread_mutex_t *mutex);
