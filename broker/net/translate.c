/* SPDX-License-Identifier: MIT */
#include "translate_state.h"

#include <stdlib.h>

#include "proto/wire.h"

struct berth_translate *berth_translate_new(const struct berth_translate_opts *opts)
{
    struct berth_translate *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->opts = *opts;
    berth_arena_init(&t->in, BERTH_WIRE_BUDGET_MAX + TRANSLATE_EVENT_BYTES_MAX);
    berth_arena_init(&t->out, TRANSLATE_OUT_BYTES_MAX);
    berth_buf_init(&t->frame, BERTH_FRAME_BYTES_MAX);
    return t;
}

void berth_translate_free(struct berth_translate *t)
{
    if (!t)
        return;
    berth_arena_fini(&t->in);
    berth_arena_fini(&t->out);
    berth_buf_fini(&t->frame);
    free(t);
}
