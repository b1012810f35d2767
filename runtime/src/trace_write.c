/* SPDX-License-Identifier: MIT
 *
 * The recording as trace-event JSON, as chrome://tracing and Perfetto open it.
 * (https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU)
 *
 * The rings are merged by time, so that one pass knows what runs for whom at each moment. Memory: a
 * place in each ring, a number for each dispatcher, and one for each coroutine that was woken and
 * has not had its turn yet, however long the recording. What a ring has
 * lost leaves ends without beginnings, which are left out, and at the end of the recording turns
 * that still run, which are ended there; so the result is whole in any case.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"

#include "trace_arrow.h"
#include "trace_ring.h"
#include "tree.h"

#define BUFFER_BYTES  65536
#define PIECE_BYTES   256                             /* of one call of say() */
#define QUOTED_BYTES  (6 * WEFT_TRACE_TEXT_BYTES + 3) /* of one call of quote() */
#define FRAMES_MAX    32 /* open at once on a thread: views, launches in place */
#define SYMBOLS_COUNT 256
#define GAP_NS        1000 /* a thread that goes on so soon has not stopped running */
#define MARK_NS       1    /* how long a wake lasts on a thread that runs no coroutine */

/* What a thread is inside of. */
struct frame {
    bool is_loop;
    bool is_over; /* a loop that ends with the turn inside it */
    uint64_t id, what;
    int64_t since_ns;
    unsigned place;
};

struct cursor {
    struct berth_heap_node node; /* by the time of the next event */
    const struct weft_trace_ring *ring;
    uint64_t at; /* the next event */
    unsigned number;
    unsigned depth; /* of which the first FRAMES_MAX are kept */
    bool is_kept;   /* the turn that ended is still counted as running, for the next follows */
    struct frame frames[FRAMES_MAX];
};

struct writer {
    int fd, rc;
    int pid;
    bool has_event;
    const struct weft_trace_clock *clock;
    unsigned *running; /* by the number of the dispatcher */
    struct weft_trace_arrows arrows;
    struct {
        uint64_t fn;
        char name[WEFT_NAME_BYTES];
    } symbols[SYMBOLS_COUNT];
    size_t used;
    char buffer[BUFFER_BYTES];
};

/* ---- text ---- */

static void flush(struct writer *w)
{
    size_t done = 0;
    while (done < w->used && w->rc == 0) {
        ssize_t written = write(w->fd, w->buffer + done, w->used - done);
        if (written >= 0)
            done += (size_t)written;
        else if (errno != EINTR)
            w->rc = -errno;
    }
    w->used = 0;
}

static void make_room(struct writer *w, size_t bytes)
{
    if (w->used > BUFFER_BYTES - bytes)
        flush(w);
}

__attribute__((format(printf, 2, 3))) static void say(struct writer *w, const char *format, ...)
{
    make_room(w, PIECE_BYTES);
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses sight of va_start */
    int wanted = vsnprintf(w->buffer + w->used, PIECE_BYTES, format, args);
    va_end(args);
    if (wanted > 0)
        w->used += (size_t)wanted < PIECE_BYTES ? (size_t)wanted : PIECE_BYTES - 1;
}

/* The length of the UTF-8 sequence at `at`, 0: it is none. RFC 3629, section 4. */
static size_t utf8_bytes(const unsigned char *at, size_t left)
{
    unsigned char lead = at[0], low = 0x80, high = 0xBF;
    size_t bytes = lead >= 0xC2 && lead <= 0xDF ? 2 : (lead & 0xF0) == 0xE0 ? 3 : 0;
    if (lead >= 0xF0 && lead <= 0xF4)
        bytes = 4;
    if (lead == 0xE0)
        low = 0xA0;
    if (lead == 0xED)
        high = 0x9F;
    if (lead == 0xF0)
        low = 0x90;
    if (lead == 0xF4)
        high = 0x8F;
    if (bytes == 0 || bytes > left || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < bytes; i++) {
        if (at[i] < 0x80 || at[i] > 0xBF)
            return 0;
    }
    return bytes;
}

/* As a JSON string; what is not UTF-8 becomes '?'. */
static void quote(struct writer *w, const char *text)
{
    make_room(w, QUOTED_BYTES);
    size_t left = strnlen(text, WEFT_TRACE_TEXT_BYTES);
    char *to = w->buffer + w->used;
    *to++ = '"';
    for (const unsigned char *at = (const unsigned char *)text; left > 0;) {
        size_t bytes = *at < 0x80 ? 1 : utf8_bytes(at, left);
        if (bytes == 0) {
            *to++ = '?';
            bytes = 1;
        } else if (*at < 0x20) {
            to += snprintf(to, 7, "\\u%04x", *at);
        } else {
            if (*at == '"' || *at == '\\')
                *to++ = '\\';
            memcpy(to, at, bytes);
            to += bytes;
        }
        at += bytes;
        left -= bytes;
    }
    *to++ = '"';
    w->used = (size_t)(to - w->buffer);
}

/* ---- what the words of an event stand for ---- */

static const void *pointer_of(uint64_t what)
{
    uintptr_t bits = (uintptr_t)(what & (((uint64_t)1 << WEFT_TRACE_PTR_BITS) - 1));
    return (const void *)bits; /* NOLINT(performance-no-int-to-ptr): it was one before */
}

static unsigned place_of(uint64_t what)
{
    return (unsigned)((what & ~WEFT_TRACE_IS_TEXT) >> WEFT_TRACE_PTR_BITS);
}

static enum weft_trace_kind kind_of(const struct weft_trace_event *event)
{
    return (enum weft_trace_kind)(event->id_kind & (((uint64_t)1 << WEFT_TRACE_KIND_BITS) - 1));
}

static uint64_t id_of(const struct weft_trace_event *event)
{
    return event->id_kind >> WEFT_TRACE_KIND_BITS;
}

static const char *name_of(struct writer *w, uint64_t what)
{
    const void *pointer = pointer_of(what);
    if (what & WEFT_TRACE_IS_TEXT)
        return ((const struct weft_trace_text *)pointer)->text;
    uint64_t bits = (uint64_t)(uintptr_t)pointer;
    size_t slot = (bits >> 4) % SYMBOLS_COUNT;
    if (w->symbols[slot].fn != bits || bits == 0) {
        weft_fn fn;
        memcpy(&fn, &pointer, sizeof fn);
        char buffer[WEFT_NAME_BYTES];
        const char *name = weft_fn_name_search(fn, buffer);
        (void)snprintf(w->symbols[slot].name, WEFT_NAME_BYTES, "%s", name);
        w->symbols[slot].fn = bits;
    }
    return w->symbols[slot].name;
}

static const char *place_name(unsigned place)
{
    const struct weft_trace_text *text = weft_trace_text_find(place);
    return text ? text->text : "?";
}

/* Since the start of the recording. */
static int64_t ns_of(const struct writer *w, uint64_t ticks)
{
    const struct weft_trace_clock *clock = w->clock;
    double ns = (double)(clock->ns[1] - clock->ns[0]);
    double all = (double)(int64_t)(clock->ticks[1] - clock->ticks[0]);
    int64_t part = (int64_t)(ticks - clock->ticks[0]);
    return part > 0 && all > 0 ? (int64_t)((double)part * (ns / all)) : 0;
}

/* ---- events of the file ---- */

static void begin(struct writer *w, const char *phase, unsigned thread, int64_t ns)
{
    say(w, "%s{\"ph\":\"%s\",\"pid\":%d,\"tid\":%u,\"ts\":%" PRId64 ".%03d",
        w->has_event ? ",\n" : "", phase, w->pid, thread, ns / 1000, (int)(ns % 1000));
    w->has_event = true;
}

static void say_name(struct writer *w, const char *name)
{
    say(w, ",\"name\":");
    quote(w, name);
}

static void metadata(struct writer *w, const struct cursor *cursor)
{
    begin(w, "M", cursor->number, 0);
    say(w, ",\"name\":\"thread_name\",\"args\":{\"name\":");
    char name[WEFT_TRACE_NAME_BYTES + 16];
    (void)snprintf(name, sizeof name, "%s (%d)", cursor->ring->name, (int)cursor->ring->tid);
    quote(w, name);
    say(w, "}}");
    begin(w, "M", cursor->number, 0);
    say(w, ",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%u}}", cursor->number);
}

/* `number` 0: one end of the arrow is not known. */
static void flow(struct writer *w, const char *phase, const struct cursor *cursor, uint64_t number,
                 uint64_t coroutine, int64_t ns)
{
    if (number == 0)
        return;
    begin(w, phase, cursor->number, ns);
    say(w, ",\"cat\":\"wake\",\"name\":\"wake\",\"id\":%" PRIu64 "%s", number,
        phase[0] == 'f' ? ",\"bp\":\"e\"" : "");
    say(w, ",\"args\":{\"coroutine\":%" PRIu64 "}}", coroutine);
}

static void life(struct writer *w, const char *phase, const struct cursor *cursor,
                 const struct weft_trace_event *event, int64_t ns)
{
    begin(w, phase, cursor->number, ns);
    say_name(w, name_of(w, event->what));
    say(w, ",\"cat\":\"coroutine\",\"id\":%" PRIu64 "}", id_of(event));
}

static void count_running(struct writer *w, unsigned place, int change, int64_t ns)
{
    if (place == 0)
        return;
    w->running[place] += (unsigned)change;
    begin(w, "C", 0, ns);
    char name[WEFT_TRACE_TEXT_BYTES + 16];
    (void)snprintf(name, sizeof name, "running on %.80s", place_name(place));
    say_name(w, name);
    say(w, ",\"args\":{\"running\":%u}}", w->running[place]);
}

static void mark(struct writer *w, const struct cursor *cursor, const char *name, int64_t ns)
{
    begin(w, "i", cursor->number, ns);
    say_name(w, name);
    say(w, ",\"s\":\"t\"}");
}

/* The slice of a frame that ends now. */
static void slice(struct writer *w, const struct cursor *cursor, const struct frame *frame,
                  int64_t ns, const char *then, const char *what)
{
    int64_t length_ns = ns - frame->since_ns;
    begin(w, "X", cursor->number, frame->since_ns);
    say(w, ",\"dur\":%" PRId64 ".%03d", length_ns / 1000, (int)(length_ns % 1000));
    say_name(w, frame->is_loop ? place_name(frame->place) : name_of(w, frame->what));
    say(w, ",\"cat\":\"%s\",\"args\":{", frame->is_loop ? "view" : "turn");
    if (!frame->is_loop) {
        say(w, "\"coroutine\":%" PRIu64 ",\"dispatcher\":", frame->id);
        quote(w, place_name(frame->place));
        say(w, ",\"then\":");
        char text[WEFT_TRACE_TEXT_BYTES];
        (void)snprintf(text, sizeof text, "%s%.60s", then, what);
        quote(w, text);
    }
    say(w, "}}");
}

/* ---- the pass ---- */

static const struct weft_trace_event *event_at(const struct weft_trace_ring *ring, uint64_t at)
{
    return &ring->events[at & (ring->capacity - 1)];
}

static bool is_earlier(const struct berth_heap_node *a, const struct berth_heap_node *b)
{
    const struct cursor *x = berth_container_of(a, const struct cursor, node);
    const struct cursor *y = berth_container_of(b, const struct cursor, node);
    uint64_t x_ticks = event_at(x->ring, x->at)->ticks, y_ticks = event_at(y->ring, y->at)->ticks;
    return x_ticks != y_ticks ? (int64_t)(x_ticks - y_ticks) < 0 : x->number < y->number;
}

static void frame_push(struct cursor *cursor, const struct frame *frame)
{
    if (cursor->depth < FRAMES_MAX)
        cursor->frames[cursor->depth] = *frame;
    cursor->depth++;
}

/* Takes the innermost frame off; NULL: there was none, or it was too deep to be kept. */
static struct frame *frame_pop(struct cursor *cursor)
{
    if (cursor->depth == 0)
        return NULL;
    cursor->depth--;
    return cursor->depth < FRAMES_MAX ? &cursor->frames[cursor->depth] : NULL;
}

/* The innermost that is kept, or NULL. */
static struct frame *frame_top(struct cursor *cursor)
{
    bool is_kept = cursor->depth > 0 && cursor->depth <= FRAMES_MAX;
    return is_kept ? &cursor->frames[cursor->depth - 1] : NULL;
}

/* Loops that were over before the turn inside them was. */
static void close_loops(struct writer *w, struct cursor *cursor, int64_t ns)
{
    const struct frame *frame;
    while ((frame = frame_top(cursor)) && frame->is_over) {
        cursor->depth--;
        slice(w, cursor, frame, ns, "", "");
    }
}

static void loop_ends(struct cursor *cursor)
{
    unsigned depth = cursor->depth < FRAMES_MAX ? cursor->depth : FRAMES_MAX;
    while (depth > 0) {
        struct frame *frame = &cursor->frames[--depth];
        if (frame->is_loop && !frame->is_over) {
            frame->is_over = true;
            return;
        }
    }
}

static void turn_begins(struct writer *w, struct cursor *cursor,
                        const struct weft_trace_event *event, int64_t ns)
{
    struct frame frame = { .id = id_of(event), .what = event->what, .since_ns = ns };
    frame.place = place_of(event->what);
    frame_push(cursor, &frame);
    if (!cursor->is_kept)
        count_running(w, frame.place, 1, ns);
    cursor->is_kept = false;
    if (kind_of(event) == WEFT_TRACE_TURN)
        flow(w, "f", cursor, weft_trace_arrow_end(&w->arrows, frame.id), frame.id, ns);
}

/* Whether the thread's next event is another turn on the same dispatcher, at once. */
static bool goes_on(const struct writer *w, const struct cursor *cursor, unsigned place, int64_t ns)
{
    if (cursor->at + 1 >= cursor->ring->put)
        return false;
    const struct weft_trace_event *next = event_at(cursor->ring, cursor->at + 1);
    enum weft_trace_kind kind = kind_of(next);
    return (kind == WEFT_TRACE_TURN || kind == WEFT_TRACE_AGAIN) && place_of(next->what) == place &&
           ns_of(w, next->ticks) - ns < GAP_NS;
}

static void turn_ends(struct writer *w, struct cursor *cursor, const struct weft_trace_event *event,
                      int64_t ns)
{
    const struct frame *frame = frame_pop(cursor);
    if (!frame || frame->is_loop || frame->id != id_of(event))
        return; /* it began before what is left */
    const char *reason = pointer_of(event->what);
    switch (kind_of(event)) {
    case WEFT_TRACE_PARKS:
        slice(w, cursor, frame, ns, reason ? "parked: " : "parked", reason ? reason : "");
        break;
    case WEFT_TRACE_CALLS: slice(w, cursor, frame, ns, "called", ""); break;
    case WEFT_TRACE_YIELDS: slice(w, cursor, frame, ns, "yielded", ""); break;
    case WEFT_TRACE_MOVES:
        slice(w, cursor, frame, ns, "moved to ", place_name(place_of(event->what)));
        break;
    case WEFT_TRACE_ENDS: slice(w, cursor, frame, ns, "ended", ""); break;
    case WEFT_TRACE_LAUNCH:
    case WEFT_TRACE_WAKE:
    case WEFT_TRACE_TURN:
    case WEFT_TRACE_AGAIN:
    case WEFT_TRACE_FINISH:
    case WEFT_TRACE_LOOP:
    case WEFT_TRACE_LOOP_ENDS:
    case WEFT_TRACE_THREAD:
    case WEFT_TRACE_THREAD_ENDS: break;
    }
    unsigned place = frame->place;
    cursor->is_kept = goes_on(w, cursor, place, ns);
    if (!cursor->is_kept)
        count_running(w, place, -1, ns);
    close_loops(w, cursor, ns);
}

/* An arrow begins in a slice; a thread that has none open gets a small one. */
static void arrow_begins(struct writer *w, struct cursor *cursor,
                         const struct weft_trace_event *event, const char *verb, int64_t ns)
{
    if (cursor->depth == 0) {
        begin(w, "X", cursor->number, ns);
        char name[WEFT_TRACE_TEXT_BYTES];
        (void)snprintf(name, sizeof name, "%s %.80s", verb, name_of(w, event->what));
        say(w, ",\"dur\":0.%03d", MARK_NS);
        say_name(w, name);
        say(w, ",\"cat\":\"wake\"}");
    }
    uint64_t coroutine = id_of(event);
    flow(w, "s", cursor, weft_trace_arrow_begin(&w->arrows, coroutine), coroutine, ns);
}

static void take(struct writer *w, struct cursor *cursor, const struct weft_trace_event *event)
{
    int64_t ns = ns_of(w, event->ticks);
    switch (kind_of(event)) {
    case WEFT_TRACE_LAUNCH:
        life(w, "b", cursor, event, ns);
        arrow_begins(w, cursor, event, "launch", ns);
        return;
    case WEFT_TRACE_WAKE: arrow_begins(w, cursor, event, "wake", ns); return;
    case WEFT_TRACE_TURN:
    case WEFT_TRACE_AGAIN: turn_begins(w, cursor, event, ns); return;
    case WEFT_TRACE_CALLS:
    case WEFT_TRACE_PARKS:
    case WEFT_TRACE_YIELDS:
    case WEFT_TRACE_MOVES:
    case WEFT_TRACE_ENDS: turn_ends(w, cursor, event, ns); return;
    case WEFT_TRACE_FINISH: life(w, "e", cursor, event, ns); return;
    case WEFT_TRACE_LOOP:
        frame_push(cursor, &(struct frame){
                               .is_loop = true, .since_ns = ns, .place = place_of(event->what) });
        return;
    case WEFT_TRACE_LOOP_ENDS:
        loop_ends(cursor);
        close_loops(w, cursor, ns);
        return;
    case WEFT_TRACE_THREAD: mark(w, cursor, "thread starts", ns); return;
    case WEFT_TRACE_THREAD_ENDS: mark(w, cursor, "thread ends", ns); return;
    }
}

/* What is still open when the recording ends. */
static void close_frames(struct writer *w, struct cursor *cursor, int64_t ns)
{
    const struct frame *frame;
    while (cursor->depth > 0) {
        frame = frame_pop(cursor);
        if (!frame)
            continue;
        slice(w, cursor, frame, ns, "still running", "");
        if (!frame->is_loop)
            count_running(w, frame->place, -1, ns);
    }
}

static uint64_t first_kept(const struct weft_trace_ring *ring)
{
    return ring->put > ring->capacity ? ring->put - ring->capacity : 0;
}

static void head(struct writer *w, const struct cursor *cursors, size_t count)
{
    uint64_t put = 0, lost = 0;
    for (size_t i = 0; i < count; i++) {
        put += cursors[i].ring->put;
        lost += first_kept(cursors[i].ring);
    }
    say(w, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"recorder\":\"weft\",");
    say(w, "\"events\":%" PRIu64 ",\"overwritten\":%" PRIu64 "},\n\"traceEvents\":[\n", put, lost);
    begin(w, "M", 0, 0);
    say(w, ",\"name\":\"process_name\",\"args\":{\"name\":");
    quote(w, program_invocation_short_name);
    say(w, "}}");
    for (size_t i = 0; i < count; i++)
        metadata(w, &cursors[i]);
}

static void pass(struct writer *w, struct berth_heap *heap)
{
    struct berth_heap_node *node;
    while ((node = berth_heap_first(heap)) && w->rc == 0) {
        struct cursor *cursor = berth_container_of(node, struct cursor, node);
        take(w, cursor, event_at(cursor->ring, cursor->at));
        cursor->at++;
        if (cursor->at < cursor->ring->put)
            berth_heap_update(heap, node);
        else
            berth_heap_remove(heap, node);
    }
}

int weft_trace_write(int fd, struct weft_trace_ring *const *rings, size_t count,
                     const struct weft_trace_clock *clock)
{
    struct writer *w = calloc(1, sizeof *w);
    struct cursor *cursors = calloc(count + 1, sizeof *cursors);
    struct berth_heap_node **nodes = calloc(count + 1, sizeof(struct berth_heap_node *));
    unsigned *running = calloc((size_t)weft_trace_text_count() + 1, sizeof *running);
    int rc = -ENOMEM;
    if (w && cursors && nodes && running) {
        w->fd = fd;
        w->pid = getpid();
        w->clock = clock;
        w->running = running;
        struct berth_heap heap;
        berth_heap_init(&heap, nodes, count, is_earlier);
        for (size_t i = 0; i < count; i++) {
            cursors[i].ring = rings[i];
            cursors[i].at = first_kept(rings[i]);
            cursors[i].number = (unsigned)i + 1;
            if (rings[i]->put > 0)
                berth_heap_push(&heap, &cursors[i].node);
        }
        head(w, cursors, count);
        pass(w, &heap);
        int64_t end_ns = clock->ns[1] - clock->ns[0];
        for (size_t i = 0; i < count; i++)
            close_frames(w, &cursors[i], end_ns);
        say(w, "\n]}\n");
        flush(w);
        rc = w->rc;
        weft_trace_arrows_fini(&w->arrows);
    }
    free(running);
    free(nodes);
    free(cursors);
    free(w);
    return rc;
}
