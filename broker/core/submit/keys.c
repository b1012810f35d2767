/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include <errno.h>

/* Seeds that keep the kinds apart. */
#define SEED_REQUEST     1
#define SEED_IDEMPOTENCY 2
#define SEED_SCHEDULE    5
#define SEED_CHILD       6
#define SEED_PARENT      7

/* In one turn: 1 ms on a busy machine of two virtual cores, of 4 million keys of children (22
 * November 2026). */
#define DROPS_MAX 1024

#define KEY_QUEUE_CHILD 2
#define KIND_PARENT     ((enum berth_key_kind)UINT8_MAX) /* it stands for the parent in a ring */

static struct key_entry *entry_at(const struct berth_core *core, uint32_t index);
static uint32_t index_of(const struct berth_core *core, struct berth_hash128 key);
static struct berth_hash128 hash_of(const void *data, size_t bytes, uint64_t seed);
static struct berth_hash128 key_of_parent(uint64_t parent);
static bool is_over(const struct berth_core *core, const struct key_entry *entry);
static bool is_first_over(const struct berth_core *core, const struct key_queue *queue);
static struct key_queue *queue_of(struct berth_core *core, const struct key_entry *entry);
static void enqueue(struct berth_core *core, struct key_queue *queue, uint32_t index);
static int join_siblings(struct berth_core *core, uint32_t index, uint64_t parent);
static void drop(struct berth_core *core, uint32_t index);
static size_t expire_queue(struct berth_core *core, struct key_queue *queue, size_t most);
static void expire_children(struct berth_core *core, size_t most);

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

static struct berth_hash128 key_of_parent(uint64_t parent)
{
    return hash_of(&parent, sizeof parent, SEED_PARENT);
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

/* What a worker says twice of its own child is not chosen to look the same: half a hash will do. */
bool keys_is_same(const struct key_entry *entry, struct berth_hash128 body)
{
    bool is_child = entry->kind == BERTH_KEY_CHILD;
    return entry->body == body.low && (is_child || entry->body_high == body.high);
}

int keys_remember(struct berth_core *core, const struct key_use *use)
{
    keys_forget(core, use->key);
    if (index_reserve(&core->keys_by_hash, 1) < 0)
        return -ENOMEM;
    uint32_t index = slab_take(&core->keys);
    if (!index)
        return -ENOMEM;
    struct key_entry *entry = entry_at(core, index);
    *entry = (struct key_entry){ .key = use->key,
                                 .body = use->body.low,
                                 .body_high = use->body.high,
                                 .job = use->job,
                                 .until_s = (uint32_t)(use->until_us / 1000000),
                                 .kind = (uint8_t)use->kind };
    enqueue(core, queue_of(core, entry), index);
    index_insert(&core->keys_by_hash, use->key.low, index);
    return use->kind == BERTH_KEY_CHILD ? join_siblings(core, index, use->parent) : 0;
}

void keys_forget(struct berth_core *core, struct berth_hash128 key)
{
    uint32_t index = index_of(core, key);
    if (index)
        drop(core, index);
}

bool keys_has_children(const struct berth_core *core, uint64_t parent)
{
    return index_of(core, key_of_parent(parent)) != 0;
}

void keys_forget_children(struct berth_core *core, uint64_t parent)
{
    uint32_t index = index_of(core, key_of_parent(parent));
    if (!index)
        return;
    index_remove(&core->keys_by_hash, entry_at(core, index)->key.low, index);
    enqueue(core, &core->keys_over, index);
}

void keys_expire(struct berth_core *core)
{
    size_t left = DROPS_MAX;
    for (size_t i = 0; i < sizeof core->key_queues / sizeof *core->key_queues; i++)
        left -= expire_queue(core, &core->key_queues[i], left);
    expire_children(core, left);
}

int64_t keys_next_deadline_ms(const struct berth_core *core)
{
    bool has_more = core->keys_over.head;
    for (size_t i = 0; i < sizeof core->key_queues / sizeof *core->key_queues; i++)
        has_more |= is_first_over(core, &core->key_queues[i]);
    return has_more ? core->now_ms : INT64_MAX;
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

/* ---- queues ---- */

static struct key_queue *queue_of(struct berth_core *core, const struct key_entry *entry)
{
    if (entry->kind == BERTH_KEY_CHILD)
        return &core->key_queues[KEY_QUEUE_CHILD];
    return &core->key_queues[entry->kind != BERTH_KEY_REQUEST];
}

static void enqueue(struct berth_core *core, struct key_queue *queue, uint32_t index)
{
    struct key_entry *entry = entry_at(core, index);
    entry->prev = queue->tail;
    if (queue->tail)
        entry_at(core, queue->tail)->next = index;
    else
        queue->head = index;
    queue->tail = index;
}

static void dequeue(struct berth_core *core, struct key_queue *queue, uint32_t index)
{
    const struct key_entry *entry = entry_at(core, index);
    if (entry->prev)
        entry_at(core, entry->prev)->next = entry->next;
    else
        queue->head = entry->next;
    if (entry->next)
        entry_at(core, entry->next)->prev = entry->prev;
    else
        queue->tail = entry->prev;
}

/* ---- siblings ---- */

/* Where the ring of this parent's children begins and ends, or 0: no memory. */
static uint32_t get_parent(struct berth_core *core, uint64_t parent)
{
    struct berth_hash128 key = key_of_parent(parent);
    uint32_t index = index_of(core, key);
    if (index || index_reserve(&core->keys_by_hash, 1) < 0)
        return index;
    index = slab_take(&core->keys);
    if (!index)
        return 0;
    *entry_at(core, index) = (struct key_entry){
        .key = key, .siblings = { index, index }, .until_s = UINT32_MAX, .kind = KIND_PARENT
    };
    index_insert(&core->keys_by_hash, key.low, index);
    return index;
}

/* As the youngest one. Without its parent it stands alone. */
static int join_siblings(struct berth_core *core, uint32_t index, uint64_t parent)
{
    struct key_entry *entry = entry_at(core, index);
    entry->siblings.older = entry->siblings.younger = index;
    core->child_key_count++;
    if (!parent)
        return 0;
    uint32_t at = get_parent(core, parent);
    if (!at) {
        drop(core, index);
        return -ENOMEM;
    }
    uint32_t youngest = entry_at(core, at)->siblings.older;
    entry->siblings.older = youngest;
    entry->siblings.younger = at;
    entry_at(core, youngest)->siblings.younger = index;
    entry_at(core, at)->siblings.older = index;
    return 0;
}

/* What stands for a parent goes with the last of its children. */
static void leave_siblings(struct berth_core *core, uint32_t index)
{
    const struct key_entry *entry = entry_at(core, index);
    uint32_t older = entry->siblings.older, younger = entry->siblings.younger;
    core->child_key_count--;
    if (older == index)
        return;
    entry_at(core, older)->siblings.younger = younger;
    entry_at(core, younger)->siblings.older = older;
    if (older == younger && entry_at(core, older)->kind == KIND_PARENT)
        drop(core, older);
}

/* Whether its children have been forgotten: then it waits for that in `keys_over`. */
static bool is_forgotten(const struct berth_core *core, uint32_t index)
{
    return index_of(core, entry_at(core, index)->key) != index;
}

static void drop_parent(struct berth_core *core, uint32_t index)
{
    if (is_forgotten(core, index))
        dequeue(core, &core->keys_over, index);
    else
        index_remove(&core->keys_by_hash, entry_at(core, index)->key.low, index);
    slab_give(&core->keys, index);
}

static void drop(struct berth_core *core, uint32_t index)
{
    const struct key_entry *entry = entry_at(core, index);
    if (entry->kind == KIND_PARENT) {
        drop_parent(core, index);
        return;
    }
    if (entry->kind == BERTH_KEY_CHILD)
        leave_siblings(core, index);
    dequeue(core, queue_of(core, entry), index);
    index_remove(&core->keys_by_hash, entry->key.low, index);
    slab_give(&core->keys, index);
}

/* ---- what is over ---- */

/* Windows of one kind are equally long, so that the oldest is over first (but for what was loaded,
 * and after a jump of the clock; then some are kept a little longer). All are at once when the
 * clock jumps ahead. */
static bool is_first_over(const struct berth_core *core, const struct key_queue *queue)
{
    return queue->head && is_over(core, entry_at(core, queue->head));
}

static size_t expire_queue(struct berth_core *core, struct key_queue *queue, size_t most)
{
    size_t count = 0;
    for (; count < most && is_first_over(core, queue); count++)
        drop(core, queue->head);
    return count;
}

/* The parent is out of the queue with its last child. */
static void expire_children(struct berth_core *core, size_t most)
{
    for (size_t i = 0; core->keys_over.head && i < most; i++)
        drop(core, entry_at(core, core->keys_over.head)->siblings.younger);
}

/* ---- check ---- */

static uint32_t check_queue(const struct berth_core *core, const struct key_queue *queue)
{
    uint32_t count = 0, previous = 0;
    for (uint32_t at = queue->head; at; at = entry_at(core, at)->next) {
        BERTH_ASSERT(entry_at(core, at)->prev == previous);
        previous = at;
        count++;
    }
    BERTH_ASSERT(queue->tail == previous);
    return count;
}

/* Each child's neighbours know it; the parents are what is left of the table. */
static uint32_t check_children(const struct berth_core *core)
{
    uint32_t parents = 0;
    const struct key_queue *queue = &core->key_queues[KEY_QUEUE_CHILD];
    for (uint32_t at = queue->head; at; at = entry_at(core, at)->next) {
        const struct key_entry *entry = entry_at(core, at);
        const struct key_entry *younger = entry_at(core, entry->siblings.younger);
        BERTH_ASSERT(entry->kind == BERTH_KEY_CHILD);
        BERTH_ASSERT(younger->siblings.older == at);
        BERTH_ASSERT(entry_at(core, entry->siblings.older)->siblings.younger == at);
        parents += younger->kind == KIND_PARENT;
    }
    return parents;
}

void keys_check(const struct berth_core *core)
{
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof core->key_queues / sizeof *core->key_queues; i++)
        count += check_queue(core, &core->key_queues[i]);
    BERTH_ASSERT(check_queue(core, &core->key_queues[KEY_QUEUE_CHILD]) == core->child_key_count);
    BERTH_ASSERT(core->keys.used == count + check_children(core));
    BERTH_ASSERT(core->keys_by_hash.count == core->keys.used - check_queue(core, &core->keys_over));
}
