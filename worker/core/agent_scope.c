/* SPDX-License-Identifier: MIT */
/* Suspended attempts and their children; see agent_scope.h. */
#include "worker/core/agent_scope.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define START_BYTES_MAX 64 /* of a sentence */

struct child {
    struct berth_map_node by_job; /* by_job.id: the child */
    struct berth_list_node in_scope, in_asks;
    struct agent_attempt *parent;
};

struct submit {
    struct berth_list_node in_scope, in_untold;
    struct agent_attempt *parent;
    uint32_t ordinal;
    bool is_supervisor;
    bool is_repeated; /* it was told in an earlier join, too */
    size_t bytes;
    char data[];
};

static void child_free(struct agent_table *table, struct child *child)
{
    berth_map_remove(&table->children, &child->by_job);
    berth_list_remove(&child->in_scope);
    if (berth_list_is_linked(&child->in_asks))
        berth_list_remove(&child->in_asks);
    free(child);
}

static void submit_free(struct submit *submit)
{
    berth_list_remove(&submit->in_scope);
    if (berth_list_is_linked(&submit->in_untold))
        berth_list_remove(&submit->in_untold);
    free(submit);
}

void agent_scope_init(struct agent_scope *scope)
{
    berth_list_init(&scope->children);
    berth_list_init(&scope->submits);
}

void agent_scope_fini(struct agent_table *table, struct agent_attempt *attempt)
{
    struct agent_scope *scope = &attempt->scope;
    BERTH_LIST_FOREACH_SAFE (node, &scope->children)
        child_free(table, berth_container_of(node, struct child, in_scope));
    BERTH_LIST_FOREACH_SAFE (node, &scope->submits)
        submit_free(berth_container_of(node, struct submit, in_scope));
    if (berth_list_is_linked(&scope->in_calls))
        berth_list_remove(&scope->in_calls);
    scope->has_suspend = scope->has_resume = scope->has_end_children = false;
    scope->wants_resume = false;
    free(scope->failure);
    scope->failure = NULL;
}

bool agent_scope_is_open(const struct agent_attempt *attempt)
{
    return !berth_list_is_empty(&attempt->scope.children) ||
           !berth_list_is_empty(&attempt->scope.submits);
}

/* ---- suspension ---- */

static void call(struct agent_table *table, struct agent_scope *scope)
{
    bool has_any = scope->has_suspend || scope->has_resume || scope->has_end_children;
    bool is_linked = berth_list_is_linked(&scope->in_calls);
    if (has_any && !is_linked)
        berth_list_push_back(&table->calls, &scope->in_calls);
    else if (!has_any && is_linked)
        berth_list_remove(&scope->in_calls);
}

void agent_scope_suspend(struct agent_table *table, struct agent_attempt *attempt)
{
    BERTH_ASSERT(attempt->state == AGENT_RUNNING);
    attempt->state = AGENT_SUSPENDED;
    agent_table_set_waiting(table, attempt, true);
    attempt->scope.suspensions++;
    attempt->scope.has_suspend = true;
    call(table, &attempt->scope);
}

void agent_scope_resume_me(struct agent_table *table, struct agent_attempt *attempt)
{
    if (attempt->state != AGENT_SUSPENDED || attempt->scope.is_body_over)
        return;
    attempt->scope.wants_resume = attempt->scope.has_resume = true;
    call(table, &attempt->scope);
}

bool agent_scope_resume(struct agent_table *table, struct agent_attempt *attempt, uint32_t number)
{
    struct agent_scope *scope = &attempt->scope;
    if (attempt->state != AGENT_SUSPENDED || number != scope->suspensions)
        return false;
    attempt->state = AGENT_RUNNING;
    agent_table_set_waiting(table, attempt, false);
    scope->wants_resume = scope->has_suspend = scope->has_resume = false;
    call(table, scope);
    if (scope->is_body_over)
        agent_scope_suspend(table, attempt);
    return !scope->is_body_over;
}

void agent_scope_stop_waiting(struct agent_table *table, struct agent_attempt *attempt)
{
    BERTH_ASSERT(attempt->state == AGENT_SUSPENDED);
    attempt->scope.is_body_over = true;
    attempt->scope.wants_resume = attempt->scope.has_resume = false;
    call(table, &attempt->scope);
}

/* ---- children ---- */

void agent_scope_end_children(struct agent_table *table, struct agent_attempt *attempt)
{
    attempt->scope.ends_children = true;
    attempt->scope.has_end_children = agent_scope_is_open(attempt);
    call(table, &attempt->scope);
}

int agent_scope_submit(struct agent_table *table, struct agent_attempt *attempt,
                       const struct agent_submit *from)
{
    BERTH_ASSERT(from->submit.bytes <= AGENT_SUBMIT_BYTES_MAX);
    struct submit *submit = calloc(1, sizeof *submit + from->submit.bytes);
    if (!submit)
        return -ENOMEM;
    submit->parent = attempt;
    submit->ordinal = from->ordinal;
    submit->is_supervisor = from->is_supervisor;
    submit->bytes = from->submit.bytes;
    if (from->submit.bytes > 0)
        memcpy(submit->data, from->submit.data, from->submit.bytes);
    attempt->scope.is_supervisor = from->is_supervisor;
    berth_list_push_back(&attempt->scope.submits, &submit->in_scope);
    berth_list_push_back(&table->submits, &submit->in_untold);
    return 0;
}

static struct submit *submit_find(const struct agent_attempt *attempt, uint32_t ordinal)
{
    BERTH_LIST_FOREACH (node, &attempt->scope.submits) {
        struct submit *submit = berth_container_of(node, struct submit, in_scope);
        if (submit->ordinal == ordinal)
            return submit;
    }
    return NULL;
}

/* One that is there already is no news: a broker that names it twice. */
static int child_add(struct agent_table *table, struct agent_attempt *attempt, uint64_t job,
                     bool may_exist)
{
    struct child *child = calloc(1, sizeof *child);
    if (!child)
        return -ENOMEM;
    int rc = berth_map_insert_id(&table->children, &child->by_job, job);
    if (rc < 0) {
        free(child);
        return rc == -EEXIST ? 0 : rc;
    }
    child->parent = attempt;
    berth_list_push_back(&attempt->scope.children, &child->in_scope);
    if (may_exist)
        berth_list_push_back(&table->asks, &child->in_asks);
    return 0;
}

/* A sentence is cut between characters. */
static size_t cut(struct berth_slice text, size_t bytes_max)
{
    const unsigned char *bytes = text.data;
    if (text.bytes <= bytes_max)
        return text.bytes;
    while (bytes_max > 0 && (bytes[bytes_max] & 0xc0) == 0x80)
        bytes_max--;
    return bytes_max;
}

static char *failure_text(const char *start, struct berth_slice why)
{
    char *text = malloc(AGENT_FAILURE_BYTES_MAX);
    if (!text)
        return NULL;
    int bytes = snprintf(text, AGENT_FAILURE_BYTES_MAX, "%s", start);
    BERTH_ASSERT(bytes > 0);
    size_t room = AGENT_FAILURE_BYTES_MAX - (size_t)bytes - 1, more = cut(why, room);
    if (more > 0)
        memcpy(text + bytes, why.data, more);
    text[(size_t)bytes + more] = '\0';
    return text;
}

static char *failure_of(const struct agent_child_end *end)
{
    char start[START_BYTES_MAX];
    (void)snprintf(start, sizeof start, "child %" PRIu64 " is dead: ", end->job);
    return failure_text(start, end->error_message.bytes > 0 ? end->error_message : end->error_kind);
}

/* A handler that is over cannot be told that it has not the children for which it asked. */
static int take_refusal(struct agent_table *table, struct agent_attempt *attempt,
                        const struct agent_submitted *answer)
{
    struct agent_scope *scope = &attempt->scope;
    if (!scope->is_body_over || scope->failure || attempt->end.outcome != AGENT_COMPLETED)
        return 0;
    scope->failure = failure_text("its submit of children was refused: ", answer->message);
    if (!scope->failure)
        return -ENOMEM;
    agent_scope_end_children(table, attempt);
    return 0;
}

int agent_scope_submitted(struct agent_table *table, struct agent_attempt *attempt,
                          const struct agent_submitted *answer)
{
    struct submit *submit = submit_find(attempt, answer->ordinal);
    if (!submit)
        return 0;
    /* Then a child may have ended before we knew that it is ours. */
    bool may_exist = submit->is_repeated || attempt->number > 1;
    submit_free(submit);
    int rc = answer->count == 0 ? take_refusal(table, attempt, answer) : 0;
    for (size_t i = 0; rc >= 0 && i < answer->count; i++)
        rc = child_add(table, attempt, answer->ids[i], may_exist);
    if (attempt->scope.ends_children)
        agent_scope_end_children(table, attempt);
    return rc < 0 ? rc : 1;
}

int agent_scope_child_ended(struct agent_table *table, struct agent_attempt *attempt,
                            const struct agent_child_end *end, bool *ret_fails)
{
    struct berth_map_node *node = berth_map_find_id(&table->children, end->job);
    struct child *child = node ? berth_container_of(node, struct child, by_job) : NULL;
    struct agent_scope *scope = &attempt->scope;
    *ret_fails = false;
    if (!child || child->parent != attempt)
        return 0;
    child_free(table, child);
    if (end->state == BERTH_DEAD && !scope->is_supervisor && !scope->failure) {
        scope->failure = failure_of(end);
        if (!scope->failure)
            return -ENOMEM;
        *ret_fails = true;
        agent_scope_end_children(table, attempt);
    }
    if (!agent_scope_is_open(attempt))
        scope->has_end_children = false;
    call(table, scope);
    return 1;
}

/* ---- what is told ---- */

void agent_scope_freeze(struct agent_table *table)
{
    BERTH_MAP_FOREACH (node, &table->by_id) {
        struct agent_attempt *attempt = berth_container_of(node, struct agent_attempt, by_id);
        struct agent_scope *scope = &attempt->scope;
        scope->has_suspend = false; /* the list says it */
        scope->has_resume = scope->wants_resume;
        scope->has_end_children = scope->ends_children && agent_scope_is_open(attempt);
        call(table, scope);
        BERTH_LIST_FOREACH (of_scope, &scope->submits) {
            struct submit *submit = berth_container_of(of_scope, struct submit, in_scope);
            if (berth_list_is_linked(&submit->in_untold))
                continue;
            submit->is_repeated = true;
            berth_list_push_back(&table->submits, &submit->in_untold);
        }
        BERTH_LIST_FOREACH (of_scope, &scope->children) {
            struct child *child = berth_container_of(of_scope, struct child, in_scope);
            if (!berth_list_is_linked(&child->in_asks))
                berth_list_push_back(&table->asks, &child->in_asks);
        }
    }
}

bool agent_scope_has_news(const struct agent_table *table)
{
    return !berth_list_is_empty(&table->calls) || !berth_list_is_empty(&table->submits) ||
           !berth_list_is_empty(&table->asks);
}

void agent_scope_take_calls(struct agent_table *table, struct agent_calls *calls, size_t count_max)
{
    struct berth_list_node *node;
    calls->suspend_count = calls->resume_count = calls->end_children_count = 0;
    for (size_t i = 0; i < count_max && (node = berth_list_pop_front(&table->calls)) != NULL; i++) {
        struct agent_attempt *attempt =
            berth_container_of(node, struct agent_attempt, scope.in_calls);
        struct agent_scope *scope = &attempt->scope;
        const struct agent_suspension suspension = { attempt->by_id.id, scope->suspensions };
        if (scope->has_suspend)
            calls->suspends[calls->suspend_count++] = suspension;
        if (scope->has_resume)
            calls->resumes[calls->resume_count++] = suspension;
        if (scope->has_end_children)
            calls->end_children[calls->end_children_count++] = attempt->by_id.id;
        scope->has_suspend = scope->has_resume = scope->has_end_children = false;
    }
}

size_t agent_scope_take_submits(struct agent_table *table, struct agent_submit *ret_submits,
                                size_t count_max)
{
    size_t count = 0, bytes = 0;
    struct berth_list_node *node;
    while (count < count_max && (node = berth_list_first(&table->submits)) != NULL) {
        const struct submit *submit = berth_container_of(node, struct submit, in_untold);
        if (count > 0 && bytes + submit->bytes > AGENT_MESSAGE_BYTES_MAX)
            break;
        bytes += submit->bytes;
        berth_list_remove(node);
        ret_submits[count++] = (struct agent_submit){ .attempt = submit->parent->by_id.id,
                                                      .job = submit->parent->job,
                                                      .ordinal = submit->ordinal,
                                                      .is_supervisor = submit->is_supervisor,
                                                      .submit = { submit->data, submit->bytes } };
    }
    return count;
}

size_t agent_scope_take_asks(struct agent_table *table, struct agent_child *ret_asks,
                             size_t count_max)
{
    size_t count = 0;
    struct berth_list_node *node;
    while (count < count_max && (node = berth_list_pop_front(&table->asks)) != NULL) {
        const struct child *child = berth_container_of(node, struct child, in_asks);
        ret_asks[count++] = (struct agent_child){ child->parent->by_id.id, child->by_job.id };
    }
    return count;
}

void agent_scope_check(const struct agent_table *table, const struct agent_attempt *attempt)
{
    const struct agent_scope *scope = &attempt->scope;
    bool is_live = agent_table_is_live(attempt);
    bool is_suspended = attempt->state == AGENT_SUSPENDED;
    bool is_open = agent_scope_is_open(attempt);
    bool has_any = scope->has_suspend || scope->has_resume || scope->has_end_children;
    BERTH_ASSERT(berth_list_is_linked(&scope->in_calls) == has_any);
    BERTH_ASSERT(is_live || !is_open);
    BERTH_ASSERT(is_live || !has_any);
    BERTH_ASSERT(!is_suspended || scope->suspensions > 0);
    BERTH_ASSERT(!scope->has_suspend || is_suspended);
    BERTH_ASSERT(!scope->wants_resume || (is_suspended && !scope->is_body_over));
    BERTH_ASSERT(!scope->has_resume || scope->wants_resume);
    BERTH_ASSERT(!scope->has_end_children || (scope->ends_children && is_open));
    BERTH_ASSERT(!scope->is_body_over || (is_suspended && is_open));
    BERTH_ASSERT(!scope->failure || scope->ends_children);
    BERTH_LIST_FOREACH (node, &scope->children) {
        const struct child *child = berth_container_of(node, struct child, in_scope);
        BERTH_ASSERT(child->parent == attempt);
        BERTH_ASSERT(berth_map_find_id(&table->children, child->by_job.id) == &child->by_job);
    }
    BERTH_LIST_FOREACH (node, &scope->submits)
        BERTH_ASSERT(berth_container_of(node, struct submit, in_scope)->parent == attempt);
}
