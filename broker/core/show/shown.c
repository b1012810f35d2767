/* SPDX-License-Identifier: MIT */
#include "shown.h"

#include <inttypes.h>

#include "broker/core/step.h"
#include "view.h"

#define TAIL_ROOM_MIN 1024u

enum stream { STREAM_OUT, STREAM_ERR, STREAM_COUNT };

/* The end of one stream, as far as it has come. */
struct tail {
    uint64_t from; /* the place of its first byte */
    uint32_t bytes, room;
    char *data; /* NULL: no room */
};

struct shown {
    struct berth_list_node node; /* in core->showing: it has room for output */
    bool has_progress;
    uint64_t done, total;
    struct tail tails[STREAM_COUNT];
};

/* ---- memory ---- */

static void tail_drop(struct berth_core *core, struct tail *tail)
{
    core->shown_bytes -= tail->room;
    block_free(tail->data);
    *tail = (struct tail){ .from = tail->from + tail->bytes };
}

static void drop_output(struct berth_core *core, struct shown *shown)
{
    for (size_t i = 0; i < STREAM_COUNT; i++)
        tail_drop(core, &shown->tails[i]);
    if (berth_list_is_linked(&shown->node))
        berth_list_remove(&shown->node);
}

/* Whether so many bytes more may be taken: those who were silent longest make room for it, but not
 * `keeper`, who stands last. */
static bool make_room(struct berth_core *core, const struct shown *keeper, uint64_t bytes)
{
    struct berth_list_node *node;
    while (core->shown_bytes + bytes > core->opts.output_bytes_max &&
           (node = berth_list_first(&core->showing))) {
        struct shown *shown = berth_container_of(node, struct shown, node);
        if (shown == keeper)
            break;
        drop_output(core, shown);
    }
    return core->shown_bytes + bytes <= core->opts.output_bytes_max;
}

static struct shown *shown_get(struct berth_core *core, struct attempt *attempt)
{
    if (attempt->shown)
        return attempt->shown;
    struct shown *shown = make_room(core, NULL, sizeof *shown) ? block_new(sizeof *shown) : NULL;
    if (!shown)
        return NULL;
    core->shown_bytes += sizeof *shown;
    attempt->shown = shown;
    return shown;
}

void shown_free(struct berth_core *core, struct attempt *attempt)
{
    struct shown *shown = attempt->shown;
    if (!shown)
        return;
    drop_output(core, shown);
    core->shown_bytes -= sizeof *shown;
    block_free(shown);
    attempt->shown = NULL;
}

/* ---- taking ---- */

static bool tail_reserve(struct berth_core *core, struct shown *shown, struct tail *tail,
                         uint32_t bytes)
{
    uint32_t room = tail->room ? tail->room : TAIL_ROOM_MIN;
    while (room < bytes)
        room *= 2;
    if (room == tail->room)
        return true;
    if (!make_room(core, shown, room - tail->room))
        return false;
    char *data = block_resize(tail->data, room);
    if (!data)
        return false;
    core->shown_bytes += room - tail->room;
    tail->data = data;
    tail->room = room;
    if (!berth_list_is_linked(&shown->node))
        berth_list_push_back(&core->showing, &shown->node);
    return true;
}

/* Makes it begin so many bytes later. */
static void tail_skip(struct tail *tail, uint32_t bytes)
{
    tail->bytes -= bytes;
    tail->from += bytes;
    if (tail->bytes && bytes)
        memmove(tail->data, tail->data + bytes, tail->bytes);
}

/* What follows right behind it. */
static void tail_append(struct berth_core *core, struct shown *shown, struct tail *tail,
                        struct berth_slice piece)
{
    const char *data = piece.data;
    size_t bytes = piece.bytes;
    if (bytes > SHOWN_TAIL_BYTES_MAX) {
        size_t skipped = bytes - SHOWN_TAIL_BYTES_MAX;
        tail->from += tail->bytes + skipped;
        tail->bytes = 0;
        data += skipped;
        bytes = SHOWN_TAIL_BYTES_MAX;
    }
    if (tail->bytes + bytes > SHOWN_TAIL_BYTES_MAX)
        tail_skip(tail, tail->bytes + (uint32_t)bytes - SHOWN_TAIL_BYTES_MAX);
    if (!tail_reserve(core, shown, tail, tail->bytes + (uint32_t)bytes)) {
        tail->from += tail->bytes + bytes;
        tail->bytes = 0;
        return;
    }
    memcpy(tail->data + tail->bytes, data, bytes);
    tail->bytes += (uint32_t)bytes;
}

/* What is known is left out; where something is missing, it begins anew. */
static void tail_take(struct berth_core *core, struct shown *shown, struct tail *tail,
                      uint64_t from, struct berth_slice piece)
{
    uint64_t end = tail->from + tail->bytes;
    if (piece.bytes == 0 || from + piece.bytes <= end)
        return;
    if (from > end) {
        tail->from = from;
        tail->bytes = 0;
    } else {
        piece.data = (const char *)piece.data + (end - from);
        piece.bytes -= (size_t)(end - from);
    }
    tail_append(core, shown, tail, piece);
}

void shown_take(struct berth_core *core, struct attempt *attempt, const struct berth_show *show)
{
    struct shown *shown = shown_get(core, attempt);
    if (!shown)
        return;
    if (berth_list_is_linked(&shown->node)) {
        berth_list_remove(&shown->node);
        berth_list_push_back(&core->showing, &shown->node);
    }
    if (show->has_progress) {
        shown->has_progress = true;
        shown->done = show->done;
        shown->total = show->total;
    }
    tail_take(core, shown, &shown->tails[STREAM_OUT], show->out_from, show->out);
    tail_take(core, shown, &shown->tails[STREAM_ERR], show->err_from, show->err);
}

/* ---- showing ---- */

static const struct shown *shown_of(const struct job *job)
{
    return job->state == JOB_RUNNING ? job->attempt->shown : NULL;
}

bool shown_progress(const struct job *job, uint64_t *ret_done, uint64_t *ret_total)
{
    const struct shown *shown = shown_of(job);
    if (!shown || !shown->has_progress)
        return false;
    *ret_done = shown->done;
    *ret_total = shown->total;
    return true;
}

/* From the place `*from` on, which is moved to where it begins. */
static struct berth_slice tail_after(const struct tail *tail, uint64_t *from)
{
    if (*from < tail->from)
        *from = tail->from;
    uint64_t known = *from - tail->from;
    if (known >= tail->bytes)
        return (struct berth_slice){ 0 };
    return (struct berth_slice){ .data = tail->data + known, .bytes = tail->bytes - (size_t)known };
}

void shown_on_output(struct berth_core *core, const struct berth_ev_job_output *ev)
{
    uint32_t index = job_find_known(core, ev->id);
    if (!index) {
        step_error(core, ev->peer, ev->request, BERTH_ENOTFOUND, "id",
                   step_text(core, "no job %" PRIu64 " lives", ev->id));
        return;
    }
    const struct job *job = job_at(&core->jobs, index);
    const struct shown *shown = shown_of(job);
    bool is_same = ev->attempt == job->attempt_number;
    struct berth_do_job_output output = { .id = job->id,
                                          .state = view_state(job),
                                          .attempt = job->attempt_number,
                                          .is_over = job_is_queued(job),
                                          .out_from = is_same ? ev->out_from : 0,
                                          .err_from = is_same ? ev->err_from : 0 };
    if (shown) {
        output.out = tail_after(&shown->tails[STREAM_OUT], &output.out_from);
        output.err = tail_after(&shown->tails[STREAM_ERR], &output.err_from);
    }
    step_add(core, BERTH_DO_JOB_OUTPUT, ev->peer, ev->request)->job_output = output;
}

/* ---- check ---- */

/* Its room. */
static uint64_t tail_check(const struct tail *tail)
{
    BERTH_ASSERT(tail->bytes <= tail->room);
    BERTH_ASSERT(tail->bytes <= SHOWN_TAIL_BYTES_MAX);
    BERTH_ASSERT((tail->room > 0) == (tail->data != NULL));
    return tail->room;
}

void shown_check(const struct berth_core *core)
{
    uint64_t bytes = 0, listed = 0;
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        if (!attempt->shown)
            continue;
        BERTH_ASSERT(attempt->state == ATTEMPT_RUNNING || attempt->state == ATTEMPT_HELD);
        uint64_t room = 0;
        for (size_t i = 0; i < STREAM_COUNT; i++)
            room += tail_check(&attempt->shown->tails[i]);
        bool is_listed = berth_list_is_linked(&attempt->shown->node);
        BERTH_ASSERT(is_listed == (room > 0));
        bytes += sizeof *attempt->shown + room;
        listed += is_listed;
    }
    BERTH_LIST_FOREACH (node, &core->showing)
        listed--;
    BERTH_ASSERT(listed == 0);
    BERTH_ASSERT(bytes == core->shown_bytes);
    BERTH_ASSERT(bytes <= core->opts.output_bytes_max);
}
