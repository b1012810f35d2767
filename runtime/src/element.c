/* SPDX-License-Identifier: MIT
 *
 * Foreign thread-locals that follow the coroutine.
 *
 * What is installed is exactly the context of the coroutine that runs: it is taken out, newest
 * first, before its stack is left, and put back, oldest first, when it goes on. All of it happens
 * on the coroutine's own stack, so weft_self() and the context are there for the user's calls.
 */
#include <errno.h>
#include <stdlib.h>

#include "die.h"
#include "field.h"

static struct weft_field *next_of(const struct weft_field *field)
{
    return weft_elements_first(field->next);
}

/* The coroutine's errno is not the business of a logger. */
static void call(struct weft_task *self, void (*fn)(void *value), void *value)
{
    WEFT_REQUIRE(!self->is_in_element,
                 "an element's install or uninstall waits, or adds an element");
    if (!fn)
        return;
    int saved_errno = errno;
    self->is_in_element = true;
    fn(value);
    self->is_in_element = false;
    errno = saved_errno;
}

void weft_elements_install(struct weft_task *self)
{
    const struct weft_element *oldest_last[WEFT_ELEMENTS_MAX];
    unsigned count = 0;
    const struct weft_field *field = weft_elements_first(weft_fields_of(self));
    for (; field; field = next_of(field))
        oldest_last[count++] = field->element;
    while (count > 0) {
        const struct weft_element *element = oldest_last[--count];
        call(self, element->install, element->value);
    }
}

void weft_elements_uninstall(struct weft_task *self)
{
    const struct weft_field *field = weft_elements_first(weft_fields_of(self));
    for (; field; field = next_of(field))
        call(self, field->element->uninstall, field->element->value);
}

void weft_elements_leave(struct weft_scope_state *scope)
{
    struct weft_task *self = scope->owner;
    const struct weft_field *outer = weft_elements_first(scope->fields_outer);
    const struct weft_field *field = weft_elements_first(scope->fields);
    for (; field != outer; field = next_of(field))
        call(self, field->element->uninstall, field->element->value);
    self->has_elements = outer;
}

bool weft_elements_are_in(const struct weft_field *fields)
{
    return weft_elements_first(fields);
}

static int add(struct weft_scope_state *s, const struct weft_element *element)
{
    if (!element)
        return -EINVAL;
    unsigned count = 1;
    const struct weft_field *other = weft_elements_first(s->fields);
    for (; other; other = next_of(other))
        count++;
    if (count > WEFT_ELEMENTS_MAX)
        return -E2BIG;
    struct weft_field *field = malloc(sizeof *field);
    if (!field)
        return -ENOMEM;
    *field = (struct weft_field){
        .element = element,
        .count = s->fields ? s->fields->count : 0,
        .bytes = s->fields ? s->fields->bytes : 0,
    };
    weft_fields_push(s, field);
    return 0;
}

void weft_scope_element(struct weft_scope *scope, const struct weft_element *element)
{
    struct weft_scope_state *s = weft_scope_state(scope, "weft_scope_element");
    weft_fields_check(s, "weft_scope_element");
    int rc = add(s, element);
    if (rc == 0) {
        s->owner->has_elements = true;
        call(s->owner, element->install, element->value);
        return;
    }
    weft_scope_fail_now(s, rc);
}

void *weft_element_find(const void *key)
{
    const struct weft_field *field = weft_elements_first(weft_fields_of(weft_self()));
    for (; field; field = next_of(field)) {
        if (field->element->key == key)
            return field->element->value;
    }
    return NULL;
}
