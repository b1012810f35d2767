/* SPDX-License-Identifier: MIT
 *
 * What trace.c records and trace_write.c reads: rings of events, and the texts that they name.
 *
 * Invariants
 * 1. Only its thread writes a ring's events, between is_busy = 1 and 0, and only while the session
 *    is on. Once the session is off and is_busy was seen 0, they do not change.
 * 2. Texts are copies: they live until the recording has been written.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"

enum weft_trace_kind {
    WEFT_TRACE_LAUNCH,
    WEFT_TRACE_WAKE,
    WEFT_TRACE_TURN,  /* the first, or one after a wake */
    WEFT_TRACE_AGAIN, /* after a yield, a move or a call */
    WEFT_TRACE_CALLS, /* a coroutine that it starts in its place */
    WEFT_TRACE_PARKS,
    WEFT_TRACE_YIELDS,
    WEFT_TRACE_MOVES,
    WEFT_TRACE_ENDS,
    WEFT_TRACE_FINISH,
    WEFT_TRACE_LOOP,
    WEFT_TRACE_LOOP_ENDS, /* perhaps in the last steps of its last turn */
    WEFT_TRACE_THREAD,
    WEFT_TRACE_THREAD_ENDS,
};

#define WEFT_TRACE_KIND_BITS 8
#define WEFT_TRACE_PTR_BITS  48 /* user space ends there unless a program asks for more */
#define WEFT_TRACE_IS_TEXT   ((uint64_t)1 << 63)

/* what: 48 bits of a pointer (the symbol of a coroutine, or with IS_TEXT a text; of PARKS the
 * static text of the reason); above it 15 bits of the number of the dispatcher's name. */
struct weft_trace_event {
    uint64_t ticks;
    uint64_t id_kind;
    uint64_t what;
};

#define WEFT_TRACE_TEXTS_MAX  16384 /* different names; beyond it the symbol stands */
#define WEFT_TRACE_TEXT_BYTES 96
struct weft_trace_text {
    struct weft_trace_text *next; /* in its bucket */
    unsigned number;              /* 1 .. WEFT_TRACE_TEXTS_MAX */
    char text[];
};

#define WEFT_TRACE_CACHE_COUNT 32 /* a power of two */
#define WEFT_TRACE_NAME_BYTES  32
struct weft_trace_ring {
    atomic_int is_busy;
    unsigned session; /* to which the events belong */
    uint64_t put;     /* events so far; the last `capacity` of them are there */
    uint64_t capacity;
    struct weft_trace_event *events;
    struct {
        const char *given; /* where the text was when it was looked up; it may have changed */
        const struct weft_trace_text *text;
    } cache[WEFT_TRACE_CACHE_COUNT];
    char name[WEFT_TRACE_NAME_BYTES]; /* of the thread */
    pid_t tid;
    /* under trace.c's lock */
    struct berth_list_node node;
    bool has_thread;
};

/* The copy of a text, up to WEFT_TRACE_TEXT_BYTES of it; NULL: too many, or no memory. Any thread.
 */
const struct weft_trace_text *weft_trace_text_copy(const char *text);
/* By number, or NULL. */
const struct weft_trace_text *weft_trace_text_find(unsigned number);
unsigned weft_trace_text_count(void);
void weft_trace_text_clear(void);

/* Two moments at which both clocks were read. */
struct weft_trace_clock {
    uint64_t ticks[2];
    int64_t ns[2];
};

/* Writes the recording as JSON. 0 or -errno. The rings do not change meanwhile. */
int weft_trace_write(int fd, struct weft_trace_ring *const *rings, size_t count,
                     const struct weft_trace_clock *clock);
