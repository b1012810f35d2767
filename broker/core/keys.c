/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include <errno.h>

/* Seeds that keep the two kinds apart. */
#define SEED_REQUEST     1
#define SEED_IDEMPOTENCY 2
#define SEED_SCHEDULE    5
#define SEED_CHILD       6

#define KEY_QUEUE_CHILD 2

static struct key_entry *entry_at(const struct berth_core *core, uint32_t index);
static uint32_t index_of(const struct berth_core *core, struct berth_hash128 key);
static struct berth_hash128 hash_of(const void *data, size_t bytes, uint64_t seed);
static bool is_over(const struct berth_core *core, const struct key_entry *entry);
static void enqueue(struct berth_core *core, uint32_t index);
static void drop(struct berth_core *core, uint32_t index);
static void expire_queue(struct berth_core *core, struct key_queue *queue);

uint64_t keys_index_hash(const void *arg, uint32_t index)
{
    const struct berth_core *core = arg;
    return entry_at(core, index)->key.low;
}

/* ---- what makes a key ---- */

/* The dispatcher's id and the key's bytes, each through its own hash. */
struct berth_hash128 keys_of_user(uint32_t dispatcher, struct berth_slice bytes)
{
    struct {
        struct berth_hash128 bytes;
        uint64_t dispatcher;
    } key = { .bytes = berth_hash128(bytes, SEED_IDEMPOTENCY), .dispatcher = dispatcher };
    return hash_of(&key, sizeof key, SEED_IDEMPOTENCY);
}

struct berth_hash128 keys_of_request(const struct berth_ev_submit *submit, size_t place)
{
    struct {
        uint8_t client[16];
        uint64_t request, place;
    } key = { .request = submit->request, .place = place };
    memcpy(key.client, submit->client, sizeof key.client);
    return hash_of(&key, sizeof key, SEED_REQUEST);
}

struct berth_hash128 keys_of_schedule(struct berth_slice bytes)
{
    return hash_of(bytes.data, bytes.bytes, SEED_SCHEDULE);
}

struct berth_hash128 keys_of_child(uint64_t parent, uint32_t ordinal)
{
    struct {
        uint64_t parent, ordinal;
    } key = { .parent = parent, .ordinal = ordinal };
    return hash_of(&key, sizeof key, SEED_CHILD);
}

/* A request's key is stored as the hash that it is. */
struct berth_hash128 keys_of_record(const struct berth_job_record *record)
{
    struct berth_hash128 key = { 0 };
    if (record->key.kind == BERTH_KEY_IDEMPOTENCY)
        return keys_of_user(record->dispatcher, record->key.bytes);
    if (record->key.kind == BERTH_KEY_SCHEDULE)
        return keys_of_schedule(record->key.bytes);
    if (record->key.bytes.bytes == sizeof key)
        memcpy(&key, record->key.bytes.data, sizeof key);
    return key;
}

static struct berth_hash128 hash_of(const void *data, size_t bytes, uint64_t seed)
{
    return berth_hash128((struct berth_slice){ .data = data, .bytes = bytes }, seed);
}

/* ---- the table ---- */

const struct key_entry *keys_find(const struct berth_core *core, struct berth_hash128 key)
{
    uint32_t index = index_of(core, key);
    return index && !is_over(core, entry_at(core, index)) ? entry_at(core, index) : NULL;
}

int keys_remember(struct berth_core *core, enum berth_key_kind kind, struct berth_hash128 key,
                  struct berth_hash128 body, uint64_t job, int64_t until_us)
{
    keys_forget(core, key);
    if (index_reserve(&core->keys_by_hash, 1) < 0)
        return -ENOMEM;
    uint32_t index = slab_take(&core->keys);
    if (!index)
        return -ENOMEM;
    *entry_at(core, index) = (struct key_entry){ .key = key,
                                                 .body = body,
                                                 .job = job,
                                                 .until_s = (uint32_t)(until_us / 1000000),
                                                 .kind = (uint8_t)kind };
    enqueue(core, index);
    index_insert(&core->keys_by_hash, key.low, index);
    return 0;
}

void keys_forget(struct berth_core *core, struct berth_hash128 key)
{
    uint32_t index = index_of(core, key);
    if (index)
        drop(core, index);
}

void keys_expire(struct berth_core *core)
{
    for (size_t i = 0; i < sizeof core->key_queues / sizeof *core->key_queues; i++)
        expire_queue(core, &core->key_queues[i]);
}

static struct key_entry *entry_at(const struct berth_core *core, uint32_t index)
{
    return slab_at(&core->keys, index);
}

static bool key_is_equal(const void *arg, uint32_t index, const void *wanted)
{
    const struct key_entry *entry = entry_at(arg, index);
    const struct berth_hash128 *key = wanted;
    return entry->key.low == key->low && entry->key.high == key->high;
}

static uint32_t index_of(const struct berth_core *core, struct berth_hash128 key)
{
    return index_find(&core->keys_by_hash, key.low, key_is_equal, &key);
}

static bool is_over(const struct berth_core *core, const struct key_entry *entry)
{
    return (int64_t)entry->until_s * 1000000 <= core->wall_us;
}

static struct key_queue *queue_of(struct berth_core *core, const struct key_entry *entry)
{
    if (entry->kind == BERTH_KEY_CHILD)
        return &core->key_queues[KEY_QUEUE_CHILD];
    return &core->key_queues[entry->kind != BERTH_KEY_REQUEST];
}

static void enqueue(struct berth_core *core, uint32_t index)
{
    struct key_entry *entry = entry_at(core, index);
    struct key_queue *queue = queue_of(core, entry);
    entry->prev = queue->tail;
    if (queue->tail)
        entry_at(core, queue->tail)->next = index;
    else
        queue->head = index;
    queue->tail = index;
}

static void drop(struct berth_core *core, uint32_t index)
{
    const struct key_entry *entry = entry_at(core, index);
    struct key_queue *queue = queue_of(core, entry);
    if (entry->prev)
        entry_at(core, entry->prev)->next = entry->next;
    else
        queue->head = entry->next;
    if (entry->next)
        entry_at(core, entry->next)->prev = entry->prev;
    else
        queue->tail = entry->prev;
    index_remove(&core->keys_by_hash, entry->key.low, index);
    slab_give(&core->keys, index);
}

/* Windows of one kind are equally long, so that the oldest is over first (but for what was loaded,
 * and after a jump of the clock; then some are kept a little longer). */
static void expire_queue(struct berth_core *core, struct key_queue *queue)
{
    while (queue->head && is_over(core, entry_at(core, queue->head)))
        drop(core, queue->head);
}
