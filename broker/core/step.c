/* SPDX-License-Identifier: MIT */
#include "step.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define TEXT_BYTES_MAX   512 /* a group's name has 255 */
#define EFFECTS_ROOM_MIN 64

int step_init(struct berth_core *core)
{
    berth_arena_init(&core->arena, SIZE_MAX);
    core->effects.items = block_new(EFFECTS_ROOM_MIN * sizeof *core->effects.items);
    core->effects_room = EFFECTS_ROOM_MIN;
    return core->effects.items ? 0 : -ENOMEM;
}

void step_fini(struct berth_core *core)
{
    block_free(core->effects.items);
    berth_arena_fini(&core->arena);
}

void step_clear(struct berth_core *core)
{
    core->effects.count = 0;
    berth_arena_reset(&core->arena);
}

struct berth_effect *step_add(struct berth_core *core, enum berth_effect_type type, uint64_t peer,
                              uint64_t request)
{
    if (core->effects.count == core->effects_room) {
        size_t room = core->effects_room * 2;
        struct berth_effect *items = block_resize(core->effects.items, room * sizeof *items);
        BERTH_ASSERT(items != NULL);
        core->effects.items = items;
        core->effects_room = room;
    }
    struct berth_effect *effect = &core->effects.items[core->effects.count++];
    *effect = (struct berth_effect){ .type = type, .peer = peer, .request = request };
    return effect;
}

void *step_alloc(struct berth_core *core, size_t count, size_t element_bytes)
{
    void *memory = berth_arena_alloc_array(&core->arena, count, element_bytes);
    BERTH_ASSERT(memory != NULL);
    memset(memory, 0, count * element_bytes);
    return memory;
}

struct berth_slice step_copy(struct berth_core *core, struct berth_slice bytes)
{
    void *copy = berth_arena_memdup(&core->arena, bytes.data, bytes.bytes);
    BERTH_ASSERT(copy != NULL);
    return (struct berth_slice){ .data = copy, .bytes = bytes.bytes };
}

const char *step_text(struct berth_core *core, const char *format, ...)
{
    char text[TEXT_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *copy = berth_arena_strdup(&core->arena, text);
    BERTH_ASSERT(copy != NULL);
    return copy;
}

void step_error(struct berth_core *core, uint64_t peer, uint64_t request, int code,
                const char *field, const char *message)
{
    step_add(core, BERTH_DO_ERROR, peer, request)->error =
        (struct berth_do_error){ .code = code, .field = field, .message = message };
}
