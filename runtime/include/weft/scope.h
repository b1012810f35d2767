/* SPDX-License-Identifier: MIT
 *
 * Scopes: the block that its children cannot outlive. A scope carries cancelling, a deadline, a
 * shield, and context.
 *
 *     struct weft_scope scope;
 *     weft_scope_open(&scope);
 *     weft_launch(&scope, NULL, left, &a);
 *     weft_launch(&scope, NULL, right, &b);
 *     return weft_scope_close(&scope, 0);      waits for both; the first failure comes out
 *
 * Invariants
 * 1. Scopes belong to the coroutine that opened them and close in reverse order. A coroutine that
 *    ends with a scope still open ends the program with a line that names the opening function.
 * 2. When close returns, all children have ended.
 * 3. Cancelling a scope reaches everything inside it, but for what is inside a shield.
 */
#pragma once

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* In the caller's memory, usually on its stack; it must not be moved while it is open. */
struct weft_scope {
    uint64_t opaque[24];
};

/* The three ways to open. They cannot fail; outside a coroutine they end the program.
 *
 * scope: a child that fails cancels its siblings and the body.
 * supervisor: children fail alone; a body that fails cancels them all.
 * shield: for clean-up. Cancelling from outside is not felt in here, for `grace_ms` from now; then
 * everything inside is cancelled and close returns -ETIMEDOUT. A child that fails acts as in a
 * scope. */
void weft_scope_open(struct weft_scope *scope);
void weft_supervisor_open(struct weft_scope *scope);
void weft_shield_open(struct weft_scope *scope, int64_t grace_ms);

/* The same with the name of the function that opens, which is what the macros below pass. */
void weft_scope_open_in(struct weft_scope *scope, const char *function);
void weft_supervisor_open_in(struct weft_scope *scope, const char *function);
void weft_shield_open_in(struct weft_scope *scope, int64_t grace_ms, const char *function);
#define weft_scope_open(scope)            weft_scope_open_in((scope), __func__)
#define weft_supervisor_open(scope)       weft_supervisor_open_in((scope), __func__)
#define weft_shield_open(scope, grace_ms) weft_shield_open_in((scope), (grace_ms), __func__)

/* Waits until all children have ended, even when cancelled. `rc` is the body's own result; a
 * negative one cancels the children first.
 *
 * Returns the first cause: a child's failure, -ETIMEDOUT (this scope's deadline or grace), else
 * rc. So the -ECANCELED that the body met gives way to its reason, and comes out only when the
 * scope was cancelled from outside or by hand. A body that ended well (rc >= 0) gets -ECANCELED,
 * too, if cancelling from outside cut a child short: what the children were to do is not done. */
int weft_scope_close(struct weft_scope *scope, int rc);

/* From `deadline_ns` on everything inside is cancelled, and close returns -ETIMEDOUT. It can only
 * shrink: a later one than is set changes nothing; one that has passed cancels at once. To be
 * called by the coroutine that opened the scope. */
void weft_scope_deadline(struct weft_scope *scope, int64_t deadline_ns);

/* Cancels the body and the children. Any thread, while the scope is open. */
void weft_scope_cancel(struct weft_scope *scope);

/* Cancels the children launched so far; the body goes on, and nothing has failed. Any thread. */
void weft_scope_cancel_children(struct weft_scope *scope);

/* `fn` is called, in the child's coroutine as its last act, for each child that was launched (not
 * async) into this supervisor and failed. Without it a line goes to stderr. `task`: the child's
 * name. To be set before the first launch, by the coroutine that opened the scope. */
void weft_scope_on_failure(struct weft_scope *scope,
                           void (*fn)(void *arg, const char *task, int rc), void *arg);

/* Waits. A scope, a deadline and fn(arg) in one; -ETIMEDOUT if the time was up first. ms <= 0:
 * fn does not run. On a plain thread -EPERM. */
int weft_timeout_ms(int64_t ms, weft_fn fn, void *arg);

/* Adds a field to the context: seen by the body until close, and by children launched into the
 * scope after the call. Copies both texts. The scope must be the innermost of the caller's.
 * 0; -EINVAL: NULL or an empty key; -E2BIG: more than WEFT_FIELDS_MAX fields or
 * WEFT_FIELDS_BYTES_MAX bytes would be visible; -ENOMEM. */
#define WEFT_FIELDS_MAX       64
#define WEFT_FIELDS_BYTES_MAX 4096
int weft_scope_field(struct weft_scope *scope, const char *key, const char *value);

/* The value of the nearest field with this key, or NULL; NULL on a plain thread. Valid until the
 * scope that holds it closes. */
const char *weft_field_find(const char *key);

/* Visits all visible fields, innermost first; a key that is set twice comes twice. */
void weft_field_each(void (*visit)(void *arg, const char *key, const char *value), void *arg);

/* A foreign thread-local (another logger's prefix, a tracer's current span) that follows the
 * coroutine: install puts `value` into it, uninstall takes it out again. */
struct weft_element {
    const void *key; /* any address of your own: what weft_element_find() looks for */
    void *value;
    void (*install)(void *value);   /* either may be NULL: nothing to be done */
    void (*uninstall)(void *value); /* neither may wait, open a scope, or launch */
};

/* Adds an element to the context of the scope, the caller's innermost, and installs it. `element`
 * is yours, and must stay as it is until close.
 *
 * From now on, until close, install runs whenever the body, or a child launched after this call,
 * begins to run or runs on, on the thread on which it does; uninstall whenever it parks, moves to
 * another dispatcher, or ends. So the thread-local is never seen by another coroutine. Several are
 * installed in the order in which they were added, those of outer scopes first, and uninstalled in
 * the reverse order.
 *
 * Should it fail, the scope fails: -EINVAL: NULL; -E2BIG: more than WEFT_ELEMENTS_MAX would be
 * visible; -ENOMEM. A coroutine without elements pays nothing. */
#define WEFT_ELEMENTS_MAX 16
void weft_scope_element(struct weft_scope *scope, const struct weft_element *element);

/* The value of the nearest element with this key, or NULL; NULL on a plain thread. */
void *weft_element_find(const void *key);

#ifdef __cplusplus
}
#endif
