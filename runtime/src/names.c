/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <weft/dispatcher.h>

#include "lock.h"

#define BUCKET_COUNT 64

struct name {
    struct name *next; /* in its bucket */
    bool is_released;
    char text[];
};

static const char *const built_in[] = { "default", "io", "virtual", "main", "unconfined" };

static struct weft_lock lock;
static struct name *buckets[BUCKET_COUNT]; /* under the lock */

/* FNV-1a. */
static struct name **bucket_of(const char *text)
{
    uint32_t hash = 2166136261u;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return &buckets[hash % BUCKET_COUNT];
}

static bool is_built_in(const char *text)
{
    for (size_t i = 0; i < sizeof built_in / sizeof built_in[0]; i++) {
        if (strcmp(built_in[i], text) == 0)
            return true;
    }
    return false;
}

/* Links the name into its bucket, unless its text is there. */
static bool enter(struct name *name)
{
    struct name **bucket = bucket_of(name->text);
    weft_lock_acquire(&lock);
    const struct name *other = *bucket;
    while (other && (other->is_released || strcmp(other->text, name->text) != 0))
        other = other->next;
    if (!other) {
        name->next = *bucket;
        *bucket = name;
    }
    weft_lock_release(&lock);
    return !other;
}

int weft_name_take(const char *name, const char **ret_copy)
{
    size_t bytes = name ? strnlen(name, WEFT_DISPATCHER_NAME_BYTES_MAX + 1) : 0;
    if (bytes == 0 || bytes > WEFT_DISPATCHER_NAME_BYTES_MAX)
        return -EINVAL;
    if (is_built_in(name))
        return -EEXIST;
    struct name *entry = malloc(sizeof *entry + bytes + 1);
    if (!entry)
        return -ENOMEM;
    entry->is_released = false;
    memcpy(entry->text, name, bytes + 1);
    if (!enter(entry)) {
        free(entry);
        return -EEXIST;
    }
    *ret_copy = entry->text;
    return 0;
}

/* Under the lock: the link to the name whose text this is. */
static struct name **link_of(const char *copy)
{
    struct name **link = bucket_of(copy);
    while ((*link)->text != copy)
        link = &(*link)->next;
    return link;
}

void weft_name_release(const char *copy)
{
    weft_lock_acquire(&lock);
    (*link_of(copy))->is_released = true;
    weft_lock_release(&lock);
}

void weft_name_give(const char *copy)
{
    if (!copy)
        return;
    weft_lock_acquire(&lock);
    struct name **link = link_of(copy);
    struct name *entry = *link;
    *link = entry->next;
    weft_lock_release(&lock);
    free(entry);
}
