/* SPDX-License-Identifier: MIT
 *
 * Fields of the context, for log lines.
 */
#include "field.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "die.h"

struct weft_field *weft_fields_of(const struct weft_task *self)
{
    if (!self)
        return NULL;
    const struct weft_scope_state *s = weft_task_innermost(self);
    return s ? s->fields : self->fields;
}

void weft_fields_check(const struct weft_scope_state *s, const char *call)
{
    const struct weft_task *self = weft_self();
    WEFT_REQUIRE(self && s == weft_task_innermost(self),
                 "%s: the scope that %s() opened is not the caller's innermost", call,
                 s->opened_by);
}

void weft_fields_push(struct weft_scope_state *s, struct weft_field *field)
{
    field->next = s->fields;
    field->elements = field->element ? field : weft_elements_first(s->fields);
    struct weft_tree *tree = s->owner->tree;
    weft_tree_lock(tree); /* a child may be launching another one */
    s->fields = field;
    weft_tree_unlock(tree);
}

int weft_scope_field(struct weft_scope *scope, const char *key, const char *value)
{
    struct weft_scope_state *s = weft_scope_state(scope, "weft_scope_field");
    weft_fields_check(s, "weft_scope_field");
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
    *field = (struct weft_field){ .count = count, .bytes = bytes };
    memcpy(field->key, key, key_bytes + 1);
    char *copy = field->key + key_bytes + 1;
    memcpy(copy, value, value_bytes + 1);
    field->value = copy;
    weft_fields_push(s, field);
    return 0;
}

const char *weft_field_find(const char *key)
{
    for (const struct weft_field *field = weft_fields_of(weft_self()); field; field = field->next) {
        if (!field->element && strcmp(field->key, key) == 0)
            return field->value;
    }
    return NULL;
}

void weft_field_each(void (*visit)(void *arg, const char *key, const char *value), void *arg)
{
    for (const struct weft_field *field = weft_fields_of(weft_self()); field; field = field->next) {
        if (!field->element)
            visit(arg, field->key, field->value);
    }
}

void weft_fields_free(struct weft_field *first, const struct weft_field *end)
{
    while (first != end) {
        struct weft_field *next = first->next;
        free(first);
        first = next;
    }
}
