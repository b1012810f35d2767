/* SPDX-License-Identifier: MIT */
#include "unique.h"

#include <errno.h>

struct unique_key {
    uint8_t bytes[sizeof(uint32_t) + BERTH_KEY_BYTES_MAX];
};

/* The dispatcher and the key's own bytes, which are compared as they are: no hash could be chosen
 * that somebody else's job is refused by. */
static struct berth_slice write_key(uint32_t dispatcher, struct berth_slice key,
                                    struct unique_key *ret_key)
{
    BERTH_ASSERT(key.bytes <= BERTH_KEY_BYTES_MAX);
    memcpy(ret_key->bytes, &dispatcher, sizeof dispatcher);
    memcpy(ret_key->bytes + sizeof dispatcher, key.data, key.bytes);
    return (struct berth_slice){ ret_key->bytes, sizeof dispatcher + key.bytes };
}

static const struct ties *find(const struct berth_core *core, struct berth_slice key)
{
    struct berth_map_node *node = berth_map_find_bytes(&core->uniques, key);
    return node ? berth_container_of(node, struct ties, by_unique) : NULL;
}

uint32_t unique_find(const struct berth_core *core, uint32_t dispatcher, struct berth_slice key)
{
    struct unique_key memory;
    const struct ties *ties = find(core, write_key(dispatcher, key, &memory));
    return ties ? ties->job : 0;
}

int unique_take(struct berth_core *core, uint32_t job, struct berth_slice key)
{
    struct unique_key memory;
    uint32_t dispatcher = job_dispatcher(core, job_at(&core->jobs, job))->record.id;
    struct berth_slice whole = write_key(dispatcher, key, &memory);
    if (find(core, whole))
        return BERTH_ECONFLICT;
    struct ties *ties = rare_get_ties(core, job);
    uint8_t *copy = ties ? block_new(whole.bytes) : NULL;
    if (!copy)
        return -ENOMEM;
    memcpy(copy, whole.data, whole.bytes);
    whole.data = copy;
    if (berth_map_insert_bytes(&core->uniques, &ties->by_unique, whole) < 0) {
        block_free(copy);
        return -ENOMEM;
    }
    ties->unique = whole;
    return 0;
}

void unique_drop(struct berth_core *core, struct ties *ties)
{
    if (!ties->unique.bytes)
        return;
    berth_map_remove(&core->uniques, &ties->by_unique);
    block_free((void *)(uintptr_t)ties->unique.data);
    ties->unique = (struct berth_slice){ 0 };
}
