/* SPDX-License-Identifier: MIT
 *
 * The recorder's copies of names: a name is its owner's, and may be gone or say something else by
 * the time the recording is written. Each different one is kept once.
 */
#include <stdlib.h>
#include <string.h>

#include "lock.h"
#include "trace_ring.h"

#define BUCKET_COUNT 1024

static struct weft_lock lock;
static struct weft_trace_text *buckets[BUCKET_COUNT];
static struct weft_trace_text *texts[WEFT_TRACE_TEXTS_MAX]; /* by number - 1 */
static unsigned text_count;

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint32_t hash(const char *text, size_t bytes)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ (unsigned char)text[i]) * 16777619u;
    return h;
}

/* Under the lock. */
static struct weft_trace_text *make(const char *text, size_t bytes)
{
    if (text_count == WEFT_TRACE_TEXTS_MAX)
        return NULL;
    struct weft_trace_text *made = malloc(sizeof *made + bytes + 1);
    if (!made)
        return NULL;
    memcpy(made->text, text, bytes);
    made->text[bytes] = '\0';
    texts[text_count++] = made;
    made->number = text_count;
    return made;
}

const struct weft_trace_text *weft_trace_text_copy(const char *text)
{
    size_t bytes = strnlen(text, WEFT_TRACE_TEXT_BYTES);
    struct weft_trace_text **bucket = &buckets[hash(text, bytes) % BUCKET_COUNT];
    weft_lock_acquire(&lock);
    struct weft_trace_text *found = *bucket;
    while (found && (strncmp(found->text, text, bytes) != 0 || found->text[bytes] != '\0'))
        found = found->next;
    if (!found) {
        found = make(text, bytes);
        if (found) {
            found->next = *bucket;
            *bucket = found;
        }
    }
    weft_lock_release(&lock);
    return found;
}

const struct weft_trace_text *weft_trace_text_find(unsigned number)
{
    return number > 0 && number <= text_count ? texts[number - 1] : NULL;
}

unsigned weft_trace_text_count(void)
{
    return text_count;
}

void weft_trace_text_clear(void)
{
    weft_lock_acquire(&lock);
    for (unsigned i = 0; i < text_count; i++)
        free(texts[i]);
    text_count = 0;
    memset(buckets, 0, sizeof buckets);
    weft_lock_release(&lock);
}
