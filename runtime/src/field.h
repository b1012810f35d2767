/* SPDX-License-Identifier: MIT
 *
 * A coroutine's context: fields for log lines (field.c) and foreign thread-locals (element.c) in
 * one list that only grows at its head. Each scope and each coroutine holds the head as it was; so
 * what is set later is not seen, and nothing is copied or counted.
 */
#pragma once

#include "tree.h"

struct weft_field {
    struct weft_field *next;            /* older, perhaps of a scope further out */
    const struct weft_element *element; /* NULL: a field */
    struct weft_field *elements;        /* the nearest with an element: this, or further out */
    unsigned count;                     /* fields: this and all behind it */
    size_t bytes;                       /* their keys and values */
    const char *value;                  /* behind the key */
    char key[];
};

/* What the coroutine sees, newest first. `self` may be NULL. */
struct weft_field *weft_fields_of(const struct weft_task *self);

/* The same, but only what has an element; the next is that of field->next. */
static inline struct weft_field *weft_elements_first(const struct weft_field *fields)
{
    return fields ? fields->elements : NULL;
}

/* Makes `field`, whose element, key and value are set, the head of the context of `s`, the
 * innermost scope of the caller; it will be freed with the scope. */
void weft_fields_push(struct weft_scope_state *s, struct weft_field *field);

/* Dies unless `s` is the innermost scope of the calling coroutine. `call`: for the message. */
void weft_fields_check(const struct weft_scope_state *s, const char *call);
