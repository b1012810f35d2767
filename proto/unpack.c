/* SPDX-License-Identifier: MIT
 *
 * The arena behind protobuf-c's allocator.
 */
#include "proto/unpack.h"

#include <errno.h>
#include <stdbool.h>

#include <berth/error.h>

struct budget {
    struct berth_arena *arena;
    size_t left_bytes;
    bool is_over, is_out_of_memory;
};

static void *budget_alloc(void *data, size_t bytes)
{
    struct budget *budget = data;
    if (bytes > budget->left_bytes) {
        budget->is_over = true;
        return NULL;
    }
    budget->left_bytes -= bytes;
    void *memory = berth_arena_alloc(budget->arena, bytes);
    budget->is_out_of_memory |= !memory;
    return memory;
}

/* The arena gives everything back at once. So it does not matter to us that protobuf-c 1.4.1 may
 * free what it had not yet initialised when an allocation fails (protobuf-c pull request 703). */
static void budget_free(void *data, void *memory)
{
    (void)data;
    (void)memory;
}

int berth_unpack(const ProtobufCMessageDescriptor *descriptor, struct berth_slice packed,
                 size_t budget_bytes, struct berth_arena *arena, ProtobufCMessage **ret)
{
    struct budget budget = { .arena = arena, .left_bytes = budget_bytes };
    ProtobufCAllocator allocator = { budget_alloc, budget_free, &budget };
    ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, &allocator, packed.bytes, packed.data);
    if (message) {
        *ret = message;
        return 0;
    }
    if (budget.is_over)
        return -EMSGSIZE;
    return budget.is_out_of_memory ? -ENOMEM : BERTH_EPROTO;
}
