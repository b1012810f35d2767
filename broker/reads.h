/* SPDX-License-Identifier: MIT */
/* The core's questions to the store: those that the store cannot take yet wait here, first come
 * first served.
 *
 * At most `count_max` wait; a question beyond that is refused, and its number is handed out by
 * reads_next_refused, to be answered as a failed one.
 */
#pragma once

#include "broker/core/effect.h"
#include "broker/store/store.h"

struct reads;

struct reads *reads_new(struct berth_store *store, size_t count_max); /* NULL: no memory */
void reads_free(struct reads *reads);

/* Takes the question; what it points at is copied. */
void reads_ask(struct reads *reads, const struct berth_do_read *question);

/* Hands the store what it can take. */
void reads_push(struct reads *reads);

bool reads_next_refused(struct reads *reads, uint64_t *ret_number);

/* The event of a read's completion. Borrows from the completion, and from `reads` until the next
 * call. */
void reads_event(struct reads *reads, const struct berth_completion *completion,
                 struct berth_event *ret_event);
