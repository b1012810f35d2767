/* SPDX-License-Identifier: MIT
 *
 * The model of test_tree_model: a few flags a coroutine and a scope, which say what each has to
 * feel. And the dice, so that a tree depends on its seed alone.
 */
#pragma once

#include "runtest.h"

#define NODES_MAX  48
#define SCOPES_MAX 48
#define ERROR_BASE (-5000) /* failures are ERROR_BASE - n, each its own */

enum truth { NO, MAYBE, YES };

struct scope {
    struct weft_scope real;
    enum { PLAIN, SUPERVISOR, SHIELD } kind;
    struct node *owner;
    struct scope *outer; /* of the same owner */
    bool is_open, is_cancelled, is_by_hand, is_cut;
    int64_t deadline_ns; /* WEFT_NEVER: none */
    int first_rc;        /* the first failure, but for the deadline; 0: none */
    int64_t first_ns;
    int failed_count, heard_count; /* of a supervisor */
};

struct node {
    struct scope *home;
    struct scope *inner; /* the innermost that is open */
    struct node *launcher;
    struct weft_task *handle; /* or NULL */
    bool was_accepted, is_held, runs_in_any_case, is_cancelled;
    int started_count, ended_count, rc;
    int depth;
};

static struct {
    uint64_t seed, draws;
    struct node nodes[NODES_MAX];
    struct scope scopes[SCOPES_MAX];
    int node_count, scope_count, error_count;
    int64_t end_ns;
    struct weft_dispatcher *serial, *pair; /* views */
    unsigned closed_count, cut_count, dropped_count, timed_out_count,
        failed_count; /* of all runs */
    char wrong[256];  /* the first promise that was broken; "": none */
} model;

__attribute__((format(printf, 1, 2))) static inline void wrong(const char *format, ...)
{
    if (model.wrong[0] != '\0')
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(model.wrong, sizeof model.wrong, format, args);
    va_end(args);
}

/* 0 .. limit - 1, by splitmix64, so that the tree depends on the seed alone. */
static inline unsigned draw(unsigned limit)
{
    uint64_t mixed = model.seed * 0x9e3779b97f4a7c15u + ++model.draws * 0xd1342543de82ef95u;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((mixed ^ (mixed >> 31)) % limit);
}

static inline bool chance(unsigned of)
{
    return draw(of) == 0;
}

static inline int id_of(const struct node *node)
{
    return (int)(node - model.nodes);
}

static inline int scope_id(const struct scope *scope)
{
    return (int)(scope - model.scopes);
}

static inline int new_error(void)
{
    return ERROR_BASE - ++model.error_count;
}

static inline enum truth scope_is_cancelled(const struct scope *scope);

static inline enum truth most(enum truth a, enum truth b)
{
    return a > b ? a : b;
}

/* From outside. */
static inline enum truth is_cancelled(const struct node *node)
{
    if (node->is_cancelled)
        return YES;
    return node->home ? scope_is_cancelled(node->home) : NO;
}

static inline enum truth is_cancelled_around(const struct scope *scope)
{
    if (scope->kind == SHIELD)
        return NO;
    return scope->outer ? scope_is_cancelled(scope->outer) : is_cancelled(scope->owner);
}

static inline enum truth has_passed(int64_t deadline_ns)
{
    int64_t now_ns = weft_now_ns();
    if (now_ns == deadline_ns)
        return MAYBE;
    return now_ns > deadline_ns ? YES : NO;
}

static inline enum truth scope_is_cancelled(const struct scope *scope)
{
    if (scope->is_cancelled)
        return YES;
    return most(has_passed(scope->deadline_ns), is_cancelled_around(scope));
}

/* What the coroutine has to feel where it stands. */
static inline enum truth feels(const struct node *self)
{
    return self->inner ? scope_is_cancelled(self->inner) : is_cancelled(self);
}

/* A call has told (or not) that the caller is cancelled. */
static inline void check_told(const struct node *self, const char *call, bool is_told)
{
    enum truth truth = feels(self);
    if (is_told ? truth == NO : truth == YES)
        wrong("%s in coroutine %d: %s", call, id_of(self),
              is_told ? "it is told that it is cancelled, and is not"
                      : "it is cancelled, and is not told");
}

static inline void fail_scope(struct scope *scope, int rc)
{
    if (scope->first_rc == 0) {
        scope->first_rc = rc;
        scope->first_ns = weft_now_ns();
    }
    scope->is_cancelled = true;
}
