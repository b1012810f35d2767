/* SPDX-License-Identifier: MIT */
/* The attempts that a worker holds; see agent_table.h. */
#include "worker/core/agent_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"
#include "worker/core/agent_scope.h"

#define TIMEOUT_MESSAGE_BYTES_MAX 64

static struct agent_attempt *of_id(struct berth_map_node *node)
{
    return node ? berth_container_of(node, struct agent_attempt, by_id) : NULL;
}

static struct agent_attempt *of_untold(struct berth_list_node *node)
{
    return berth_container_of(node, struct agent_attempt, in_untold);
}

static const struct agent_attempt *of_timeout(const struct berth_heap_node *node)
{
    return berth_container_of(node, struct agent_attempt, by_timeout);
}

static bool is_before(const struct berth_heap_node *a, const struct berth_heap_node *b)
{
    const struct agent_attempt *x = of_timeout(a), *y = of_timeout(b);
    if (x->timeout_at_ms != y->timeout_at_ms)
        return x->timeout_at_ms < y->timeout_at_ms;
    return x->by_id.id < y->by_id.id;
}

int agent_table_init(struct agent_table *table, uint32_t capacity, uint32_t suspended_max)
{
    BERTH_ASSERT(capacity > 0);
    size_t count_max = (size_t)capacity + suspended_max;
    *table = (struct agent_table){ .capacity = capacity, .suspended_max = suspended_max };
    berth_list_init(&table->untold);
    berth_list_init(&table->news);
    berth_list_init(&table->forced);
    berth_list_init(&table->calls);
    berth_list_init(&table->submits);
    berth_list_init(&table->asks);
    table->timeout_nodes = calloc(count_max, sizeof(struct berth_heap_node *));
    if (!table->timeout_nodes)
        return -ENOMEM;
    berth_heap_init(&table->by_timeout, table->timeout_nodes, count_max, is_before);
    return 0;
}

static void attempt_free(struct agent_table *table, struct agent_attempt *attempt)
{
    agent_scope_fini(table, attempt);
    free(attempt->end_memory);
    free(attempt);
}

void agent_table_fini(struct agent_table *table)
{
    /* Each one is taken out before it is freed: the map's walk reads its own node. */
    BERTH_MAP_FOREACH (node, &table->by_id) {
        berth_map_remove(&table->by_id, node);
        attempt_free(table, of_id(node));
    }
    berth_map_fini(&table->by_id);
    berth_map_fini(&table->children);
    free(table->timeout_nodes);
}

struct agent_attempt *agent_table_find(const struct agent_table *table, uint64_t attempt)
{
    return of_id(berth_map_find_id(&table->by_id, attempt));
}

size_t agent_table_count(const struct agent_table *table)
{
    return berth_map_count(&table->by_id);
}

static bool is_full(const struct agent_table *table)
{
    size_t free_of_charge =
        table->waiting_count < table->suspended_max ? table->waiting_count : table->suspended_max;
    return agent_table_count(table) - free_of_charge >= table->capacity;
}

int agent_table_grant(struct agent_table *table, const struct agent_grant *grant, int64_t now_ms)
{
    BERTH_ASSERT(grant->dispatcher.bytes <= AGENT_NAME_BYTES_MAX);
    if (agent_table_find(table, grant->attempt))
        return -EEXIST;
    if (is_full(table))
        return -ENOSPC;

    struct agent_attempt *attempt = calloc(1, sizeof *attempt);
    if (!attempt)
        return -ENOMEM;
    attempt->job = grant->job;
    attempt->number = grant->number;
    attempt->granted_ms = now_ms;
    attempt->state = AGENT_RUNNING;
    agent_scope_init(&attempt->scope);
    attempt->timeout_ms = grant->timeout_ms;
    attempt->grace_ms = grant->grace_ms;
    attempt->dispatcher_bytes = (uint8_t)grant->dispatcher.bytes;
    if (grant->dispatcher.bytes > 0)
        memcpy(attempt->dispatcher, grant->dispatcher.data, grant->dispatcher.bytes);
    if (berth_map_insert_id(&table->by_id, &attempt->by_id, grant->attempt) < 0) {
        free(attempt);
        return -ENOMEM;
    }
    table->running_count++;
    if (grant->timeout_ms > 0 && grant->timeout_ms < INT64_MAX - now_ms) {
        attempt->timeout_at_ms = now_ms + grant->timeout_ms;
        berth_heap_push(&table->by_timeout, &attempt->by_timeout);
    }
    return 0;
}

bool agent_table_is_live(const struct agent_attempt *attempt)
{
    return attempt->state != AGENT_ENDED && attempt->release_reason == 0;
}

void agent_table_set_waiting(struct agent_table *table, struct agent_attempt *attempt,
                             bool is_waiting)
{
    if (attempt->is_waiting == is_waiting)
        return;
    attempt->is_waiting = is_waiting;
    BERTH_ASSERT(is_waiting || table->waiting_count > 0);
    if (is_waiting)
        table->waiting_count++;
    else
        table->waiting_count--;
}

static bool is_running_code(const struct agent_attempt *attempt)
{
    return agent_table_is_live(attempt) && !attempt->scope.is_body_over;
}

/* The handler is over: nothing is shown any more, and nothing can be forced. */
static void stop_body(struct agent_attempt *attempt)
{
    if (berth_list_is_linked(&attempt->in_news))
        berth_list_remove(&attempt->in_news);
    if (berth_list_is_linked(&attempt->in_forced))
        berth_list_remove(&attempt->in_forced);
}

static void stop_running(struct agent_table *table, struct agent_attempt *attempt)
{
    BERTH_ASSERT(agent_table_is_live(attempt));
    BERTH_ASSERT(table->running_count > 0);
    table->running_count--;
    if (berth_heap_is_linked(&attempt->by_timeout))
        berth_heap_remove(&table->by_timeout, &attempt->by_timeout);
    stop_body(attempt);
    agent_scope_fini(table, attempt);
}

/* Copies the end, which may be the attempt's, with all its bytes into one block of the attempt's
 * own. */
static int end_copy(struct agent_attempt *attempt, const struct agent_end *end)
{
    size_t bytes = end->error_kind.bytes + end->error_message.bytes + end->result.bytes;
    char *memory = malloc(bytes > 0 ? bytes : 1);
    if (!memory)
        return -ENOMEM;
    char *old = attempt->end_memory;
    attempt->end = *end;
    attempt->end_memory = memory;
    struct berth_slice *parts[] = { &attempt->end.error_kind, &attempt->end.error_message,
                                    &attempt->end.result };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i]->bytes == 0)
            continue;
        memcpy(memory, parts[i]->data, parts[i]->bytes);
        parts[i]->data = memory;
        memory += parts[i]->bytes;
    }
    free(old);
    return 0;
}

static bool is_verdict(enum agent_outcome outcome)
{
    return outcome == AGENT_COMPLETED || outcome == AGENT_FAILED_FOREVER ||
           outcome == AGENT_SNOOZED;
}

/* What a handler that said it has completed is, if its children were told to end. */
static enum agent_outcome cut_short(const struct agent_attempt *attempt)
{
    if (attempt->cancel == 0)
        return AGENT_COMPLETED; /* it has failed by a child, see blame_child() */
    return attempt->cancel == AGENT_CANCEL_TIMEOUT ? AGENT_TIMED_OUT : AGENT_CANCELLED;
}

static void blame_child(const struct agent_attempt *attempt, struct agent_end *said)
{
    if (said->outcome == AGENT_FAILED_FOREVER || said->outcome == AGENT_SNOOZED)
        return;
    said->outcome = AGENT_FAILED;
    said->error_kind = berth_slice_of("handler");
    said->error_message = berth_slice_of(attempt->scope.failure);
}

static void blame_timeout(const struct agent_attempt *attempt, struct agent_end *said,
                          char message[static TIMEOUT_MESSAGE_BYTES_MAX])
{
    int bytes = snprintf(message, TIMEOUT_MESSAGE_BYTES_MAX,
                         "not done within its timeout of %" PRId64 " ms", attempt->timeout_ms);
    BERTH_ASSERT(bytes > 0);
    BERTH_ASSERT(bytes < TIMEOUT_MESSAGE_BYTES_MAX);
    said->outcome = AGENT_TIMED_OUT;
    said->retry_ms = 0;
    said->error_kind = berth_slice_of("timeout");
    said->error_message = (struct berth_slice){ message, (size_t)bytes };
}

/* Nothing of it is left, and this is what its handler said. */
static int conclude(struct agent_table *table, struct agent_attempt *attempt,
                    const struct agent_end *end)
{
    struct agent_end said = *end;
    char message[TIMEOUT_MESSAGE_BYTES_MAX];
    bool is_cut = attempt->scope.is_body_over && attempt->scope.ends_children;
    if (is_cut && said.outcome == AGENT_COMPLETED)
        said.outcome = cut_short(attempt);
    if (attempt->cancel == AGENT_CANCEL_TIMEOUT && said.outcome != AGENT_COMPLETED)
        blame_timeout(attempt, &said, message);
    else if (attempt->scope.failure && attempt->cancel != AGENT_CANCEL_JOB)
        blame_child(attempt, &said);
    int rc = end_copy(attempt, &said);
    if (rc < 0)
        return rc;

    bool is_left_open = agent_scope_is_open(attempt);
    stop_running(table, attempt);
    attempt->scope.is_body_over = false;
    attempt->state = AGENT_ENDED;
    attempt->is_handed_back =
        attempt->cancel == AGENT_CANCEL_STOP && (is_left_open || !is_verdict(said.outcome));
    if (attempt->is_handed_back)
        return 0;
    table->owed_count++;
    berth_list_push_back(&table->untold, &attempt->in_untold);
    return 0;
}

/* Its children have not ended: nothing of it runs, and it is not over. */
static int wait_for_children(struct agent_table *table, struct agent_attempt *attempt,
                             const struct agent_end *end)
{
    int rc = end_copy(attempt, end);
    if (rc < 0)
        return rc;
    stop_body(attempt);
    if (attempt->state == AGENT_RUNNING)
        agent_scope_suspend(table, attempt);
    agent_scope_stop_waiting(table, attempt);
    if (end->outcome != AGENT_COMPLETED || attempt->cancel != 0)
        agent_scope_end_children(table, attempt);
    return 0;
}

int agent_table_end(struct agent_table *table, struct agent_attempt *attempt,
                    const struct agent_end *end)
{
    BERTH_ASSERT(is_running_code(attempt));
    if (agent_scope_is_open(attempt) && attempt->cancel != AGENT_CANCEL_STOP)
        return wait_for_children(table, attempt, end);
    return conclude(table, attempt, end);
}

int agent_table_conclude(struct agent_table *table, struct agent_attempt *attempt)
{
    BERTH_ASSERT(attempt->scope.is_body_over);
    return conclude(table, attempt, &attempt->end);
}

void agent_table_release(struct agent_table *table, struct agent_attempt *attempt,
                         enum agent_release_reason reason)
{
    BERTH_ASSERT(reason != 0);
    stop_running(table, attempt);
    attempt->release_reason = reason;
    table->owed_count++;
    berth_list_push_back(&table->untold, &attempt->in_untold);
}

bool agent_table_cancel(struct agent_table *table, struct agent_attempt *attempt,
                        enum agent_cancel_reason reason, int64_t now_ms)
{
    if (!agent_table_is_live(attempt))
        return false;
    attempt->is_job_cancelled |= reason == AGENT_CANCEL_JOB;
    bool is_new = attempt->cancel == 0;
    bool is_of_job = reason != AGENT_CANCEL_STOP && reason != AGENT_CANCEL_TIMEOUT;
    if (is_new || (attempt->cancel == AGENT_CANCEL_STOP && is_of_job))
        attempt->cancel = reason;
    if (is_new)
        attempt->cancelled_ms = now_ms;
    if (berth_heap_is_linked(&attempt->by_timeout))
        berth_heap_remove(&table->by_timeout, &attempt->by_timeout);
    return is_new;
}

void agent_table_force(struct agent_table *table, struct agent_attempt *attempt, int64_t grace_ms)
{
    if (!is_running_code(attempt))
        return;
    BERTH_ASSERT(attempt->cancel != 0);
    int64_t force_at_ms = attempt->cancelled_ms + grace_ms;
    bool is_new = !berth_list_is_linked(&attempt->in_forced);
    if (is_new || force_at_ms < attempt->force_at_ms)
        attempt->force_at_ms = force_at_ms;
    if (is_new)
        berth_list_push_back(&table->forced, &attempt->in_forced);
}

/* An operator asks for it, one attempt at a time: there are never many. */
struct agent_attempt *agent_table_first_forced(const struct agent_table *table)
{
    struct agent_attempt *first = NULL;
    BERTH_LIST_FOREACH (node, &table->forced) {
        struct agent_attempt *attempt = berth_container_of(node, struct agent_attempt, in_forced);
        if (!first || attempt->force_at_ms < first->force_at_ms)
            first = attempt;
    }
    return first;
}

void agent_table_forget(struct agent_table *table, struct agent_attempt *attempt)
{
    BERTH_ASSERT(attempt->state == AGENT_ENDED || attempt->release_reason != 0);
    if (berth_list_is_linked(&attempt->in_untold))
        berth_list_remove(&attempt->in_untold);
    if (!attempt->is_handed_back) {
        BERTH_ASSERT(table->owed_count > 0);
        table->owed_count--;
    }
    agent_table_set_waiting(table, attempt, false);
    berth_map_remove(&table->by_id, &attempt->by_id);
    attempt_free(table, attempt);
}

static struct agent_attempt *first_timeout(const struct agent_table *table)
{
    struct berth_heap_node *node = berth_heap_first(&table->by_timeout);
    return node ? berth_container_of(node, struct agent_attempt, by_timeout) : NULL;
}

int64_t agent_table_next_timeout_ms(const struct agent_table *table)
{
    const struct agent_attempt *attempt = first_timeout(table);
    return attempt ? attempt->timeout_at_ms : INT64_MAX;
}

struct agent_attempt *agent_table_timed_out(const struct agent_table *table, int64_t now_ms)
{
    struct agent_attempt *attempt = first_timeout(table);
    return attempt && attempt->timeout_at_ms <= now_ms ? attempt : NULL;
}

void agent_table_add_news(struct agent_table *table, struct agent_attempt *attempt)
{
    if (!is_running_code(attempt))
        return;
    attempt->has_shown = true;
    if (!berth_list_is_linked(&attempt->in_news))
        berth_list_push_back(&table->news, &attempt->in_news);
}

size_t agent_table_take_news(struct agent_table *table, uint64_t *ret_attempts, size_t count_max)
{
    size_t count = 0;
    struct berth_list_node *node;
    while (count < count_max && (node = berth_list_pop_front(&table->news)) != NULL)
        ret_attempts[count++] = berth_container_of(node, struct agent_attempt, in_news)->by_id.id;
    return count;
}

/* Whether one more end fits beside `*bytes` of others; one alone always does. */
static bool end_fits(const struct agent_attempt *attempt, size_t *bytes)
{
    size_t more =
        sizeof attempt->end + attempt->end.error_message.bytes + attempt->end.result.bytes;
    if (*bytes > 0 && *bytes + more > AGENT_MESSAGE_BYTES_MAX)
        return false;
    *bytes += more;
    return true;
}

void agent_table_freeze(struct agent_table *table, int64_t now_ms)
{
    size_t bytes = 0;
    BERTH_MAP_FOREACH (node, &table->by_id) {
        struct agent_attempt *attempt = of_id(node);
        if (attempt->release_reason != 0) {
            agent_table_forget(table, attempt);
            continue;
        }
        attempt->ran_us = (now_ms - attempt->granted_ms) * 1000;
        attempt->listed_suspensions = attempt->scope.suspensions;
        attempt->listed_state = attempt->state == AGENT_SUSPENDED ? AGENT_SUSPENDED : AGENT_RUNNING;
        if (attempt->has_shown)
            agent_table_add_news(table, attempt);
        if (attempt->state != AGENT_ENDED || attempt->is_handed_back)
            continue;
        if (berth_list_is_linked(&attempt->in_untold))
            berth_list_remove(&attempt->in_untold);
        attempt->is_told = end_fits(attempt, &bytes);
        if (!attempt->is_told)
            berth_list_push_back(&table->untold, &attempt->in_untold);
    }
    agent_scope_freeze(table);
}

static struct agent_line line_of(const struct agent_attempt *attempt)
{
    struct agent_line line = {
        .attempt = attempt->by_id.id,
        .job = attempt->job,
        .dispatcher = { attempt->dispatcher, attempt->dispatcher_bytes },
        .number = attempt->number,
        .state = attempt->is_told ? AGENT_ENDED : attempt->listed_state,
        .suspensions = attempt->listed_suspensions,
        .is_cancelled = attempt->is_job_cancelled,
    };
    if (attempt->is_told)
        line.end = attempt->end;
    else
        line.end.run_us = attempt->ran_us;
    return line;
}

size_t agent_table_list(const struct agent_table *table, struct agent_line *ret_lines)
{
    size_t count = 0;
    BERTH_MAP_FOREACH (node, &table->by_id)
        ret_lines[count++] = line_of(of_id(node));
    return count;
}

void agent_table_measure(const struct agent_table *table, size_t *ret_lines, size_t *ret_releases)
{
    size_t lines = 0, releases = 0, bytes = 0;
    BERTH_LIST_FOREACH (node, &table->untold) {
        const struct agent_attempt *attempt = of_untold(node);
        if (attempt->release_reason != 0)
            releases++;
        else if (end_fits(attempt, &bytes))
            lines++;
        else
            break;
    }
    *ret_lines = lines;
    *ret_releases = releases;
}

void agent_table_tell(struct agent_table *table, struct agent_line *ret_lines, size_t line_count,
                      uint64_t *ret_releases, enum agent_release_reason *ret_reasons,
                      size_t release_count)
{
    size_t lines = 0, releases = 0;
    while (lines + releases < line_count + release_count) {
        struct agent_attempt *attempt = of_untold(berth_list_pop_front(&table->untold));
        if (attempt->release_reason != 0) {
            ret_releases[releases] = attempt->by_id.id;
            ret_reasons[releases++] = attempt->release_reason;
            agent_table_forget(table, attempt);
        } else {
            attempt->is_told = true;
            ret_lines[lines++] = line_of(attempt);
        }
    }
    BERTH_ASSERT(lines == line_count);
    BERTH_ASSERT(releases == release_count);
}

static void attempt_check(const struct agent_attempt *attempt)
{
    bool is_released = attempt->release_reason != 0;
    bool is_ended = attempt->state == AGENT_ENDED;
    BERTH_ASSERT(is_ended || attempt->state == AGENT_RUNNING || attempt->state == AGENT_SUSPENDED);
    BERTH_ASSERT(is_ended || attempt->is_waiting == (attempt->state == AGENT_SUSPENDED));
    BERTH_ASSERT(!(is_ended && is_released));
    bool has_end = is_ended || attempt->scope.is_body_over;
    BERTH_ASSERT(has_end == (attempt->end_memory != NULL));
    BERTH_ASSERT(is_ended || !attempt->is_told);
    BERTH_ASSERT(is_ended || !attempt->is_handed_back);
    bool is_owed = (is_ended || is_released) && !attempt->is_handed_back;
    BERTH_ASSERT(berth_list_is_linked(&attempt->in_untold) == (is_owed && !attempt->is_told));
    BERTH_ASSERT(is_running_code(attempt) || !berth_list_is_linked(&attempt->in_news));
    BERTH_ASSERT(is_running_code(attempt) || !berth_list_is_linked(&attempt->in_forced));
    bool can_time_out = !is_ended && !is_released && attempt->cancel == 0;
    BERTH_ASSERT(can_time_out || !berth_heap_is_linked(&attempt->by_timeout));
}

void agent_table_check(const struct agent_table *table)
{
    size_t running = 0, waiting = 0, owed = 0, untold = 0;
    BERTH_MAP_FOREACH (node, &table->by_id) {
        const struct agent_attempt *attempt = of_id(node);
        attempt_check(attempt);
        agent_scope_check(table, attempt);
        if (agent_table_is_live(attempt))
            running++;
        else if (!attempt->is_handed_back)
            owed++;
        waiting += attempt->is_waiting ? 1 : 0;
        untold += berth_list_is_linked(&attempt->in_untold) ? 1 : 0;
    }
    BERTH_LIST_FOREACH (node, &table->untold)
        untold--;
    BERTH_ASSERT(untold == 0);
    BERTH_ASSERT(running == table->running_count);
    BERTH_ASSERT(waiting == table->waiting_count);
    BERTH_ASSERT(owed == table->owed_count);
    BERTH_ASSERT(agent_table_count(table) <= table->capacity + table->suspended_max);
}
