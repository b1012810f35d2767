/* SPDX-License-Identifier: MIT
 *
 * Context: a list of fields that only grows at its head. Each scope and each coroutine holds the
 * head as it was; so what is set later is not seen, and nothing is copied or counted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "die.h"
#include "tree.h"

struct weft_field {
    struct weft_field *next; /* older, perhaps of a scope further out */
    unsigned count;          /* this one and all behind it */
    size_t bytes;            /* their keys and values */
    const char *value;       /* behind the key */
    char key[];
};

static const struct weft_field *fields_of_self(void)
{
    const struct weft_task *self = weft_self();
    if (!self)
        return NULL;
    return self->innermost ? self->innermost->fields : self->fields;
}

int weft_scope_field(struct weft_scope *scope, const char *key, const char *value)
{
    struct weft_scope_state *s = weft_scope_state(scope, "weft_scope_field");
    const struct weft_task *self = weft_self();
    WEFT_REQUIRE(self && s == self->innermost,
                 "weft_scope_field: the scope that %s() opened is not the caller's innermost",
                 s->opened_by);
    if (!key || !value || key[0] == '\0')
        return -EINVAL;
    size_t key_bytes = strlen(key), value_bytes = strlen(value);
    size_t bytes = key_bytes + value_bytes + (s->fields ? s->fields->bytes : 0);
    unsigned count = 1 + (s->fields ? s->fields->count : 0);
    if (count > WEFT_FIELDS_MAX || bytes > WEFT_FIELDS_BYTES_MAX)
        return -E2BIG;
    struct weft_field *field = malloc(sizeof *field + key_bytes + 1 + value_bytes + 1);
    if (!field)
        return -ENOMEM;
    *field = (struct weft_field){ .next = s->fields, .count = count, .bytes = bytes };
    memcpy(field->key, key, key_bytes + 1);
    char *copy = field->key + key_bytes + 1;
    memcpy(copy, value, value_bytes + 1);
    field->value = copy;
    weft_lock_acquire(&self->tree->lock); /* a child may be launching another one */
    s->fields = field;
    weft_lock_release(&self->tree->lock);
    return 0;
}

const char *weft_field_find(const char *key)
{
    for (const struct weft_field *field = fields_of_self(); field; field = field->next) {
        if (strcmp(field->key, key) == 0)
            return field->value;
    }
    return NULL;
}

void weft_field_each(void (*visit)(void *arg, const char *key, const char *value), void *arg)
{
    for (const struct weft_field *field = fields_of_self(); field; field = field->next)
        visit(arg, field->key, field->value);
}

void weft_fields_free(struct weft_field *first, const struct weft_field *end)
{
    while (first != end) {
        struct weft_field *next = first->next;
        free(first);
        first = next;
    }
}
