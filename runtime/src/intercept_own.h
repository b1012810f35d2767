/* SPDX-License-Identifier: MIT
 *
 * The pthread calls that weft makes for itself: runtime/CMakeLists.txt gives them these names in
 * all its other files. They are the next definitions, so a coroutine that is inside weft never
 * parks on a mutex of weft's.
 */
#pragma once

#include <pthread.h>

int weft_own_mutex_lock(pthread_mutex_t *mutex);
int weft_own_mutex_unlock(pthread_mutex_t *mutex);
int weft_own_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int weft_own_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                            const struct timespec *at);
int weft_own_cond_signal(pthread_cond_t *cond);
int weft_own_cond_broadcast(pthread_cond_t *cond);
int weft_own_join(pthread_t thread, void **ret_result);
