/* SPDX-License-Identifier: MIT */
/* Attempts that are commands: how one starts, and what its end means. */
#include "worker/slot.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define TRACEPARENT_KEY       "traceparent"
#define INDEX_TEXT_MAX        24 /* of a number, in decimal */
#define PLACE_VARIABLES_MAX   2  /* BERTH_ARRAY_INDEX BERTH_LINE */
#define EXIT_MESSAGE_FORMAT   "the command ended with status %d"
#define SIGNAL_MESSAGE_FORMAT "the command was ended by signal %d (SIG%s)"

static struct berth_slice traceparent_of(const struct berth_body *body)
{
    for (size_t i = 0; i < body->context_count; i++) {
        if (strcmp(body->context[i].key, TRACEPARENT_KEY) == 0)
            return berth_slice_of(body->context[i].value);
    }
    return (struct berth_slice){ 0 };
}

/* Which one of many it is, as variables; returns how many. */
static size_t place_of(const struct berth_body *body, char index[static INDEX_TEXT_MAX],
                       struct berth_field env[static PLACE_VARIABLES_MAX])
{
    size_t count = 0;
    if (body->has_array_index) {
        (void)snprintf(index, INDEX_TEXT_MAX, "%" PRIu64, body->array_index);
        env[count++] = (struct berth_field){ "BERTH_ARRAY_INDEX", index };
    }
    if (body->line)
        env[count++] = (struct berth_field){ "BERTH_LINE", body->line };
    return count;
}

void slot_start_command(struct slot *slot, const struct agent_grant *grant)
{
    const struct berth_body *body = &slot->attempt.body;
    struct berth_slice *argv =
        berth_arena_alloc_array(&slot->attempt.arena, body->argv_count, sizeof *argv);
    if (!argv) {
        slot_release(slot, AGENT_RELEASE_NO_MEMORY);
        return;
    }
    for (size_t i = 0; i < body->argv_count; i++)
        argv[i] = berth_slice_of(body->argv[i]);
    char index[INDEX_TEXT_MAX];
    struct berth_field env[PLACE_VARIABLES_MAX];
    size_t env_count = place_of(body, index, env);
    const struct exec_command command = { .attempt = grant->attempt,
                                          .job = grant->job,
                                          .number = grant->number,
                                          .dispatcher = grant->dispatcher,
                                          .traceparent = traceparent_of(body),
                                          .env = env,
                                          .env_count = env_count,
                                          .argv = argv,
                                          .argv_count = body->argv_count,
                                          .payload = body->payload };
    struct berth_error err;
    int rc = exec_start(slot->owner->exec, &command, &err);
    if (rc == -EINVAL)
        slot_refuse(slot, err.message);
    else if (rc < 0)
        slot_release(slot, AGENT_RELEASE_NO_MEMORY);
}

/* What a command's end means: outcome, kind and sentence. */
static struct agent_end end_of_command(struct slot *slot, const struct exec_end *end)
{
    bool is_well = end->exit_code == 0 && end->signal == 0 && !end->error;
    if (is_well)
        return (struct agent_end){ .outcome = AGENT_COMPLETED };
    if (end->error) {
        (void)snprintf(slot->sentence, sizeof slot->sentence, "%s", end->error);
    } else if (end->signal != 0) {
        const char *name = sigabbrev_np(end->signal);
        (void)snprintf(slot->sentence, sizeof slot->sentence, SIGNAL_MESSAGE_FORMAT, end->signal,
                       name ? name : "?");
    } else {
        (void)snprintf(slot->sentence, sizeof slot->sentence, EXIT_MESSAGE_FORMAT, end->exit_code);
    }
    return (struct agent_end){
        .outcome = end->is_cancelled ? AGENT_CANCELLED : AGENT_FAILED,
        .error_kind = berth_slice_of(end->signal != 0 ? "signal" : "exit"),
        .error_message = berth_slice_of(slot->sentence),
    };
}

void slot_on_exec_end(void *arg, uint64_t attempt, const struct exec_end *end)
{
    struct slot *slot = slot_find(arg, attempt);
    BERTH_ASSERT(slot);
    if (!end->is_started && !end->is_cancelled) {
        slot_release(slot, AGENT_RELEASE_NO_MEMORY);
        return;
    }
    if (!end->is_started) {
        slot->item.end = (struct agent_end){ .outcome = AGENT_CANCELLED };
        slot_push(slot);
        return;
    }
    const struct berth_result result = { .has_exit_code = true,
                                         .exit_code = end->exit_code,
                                         .out = end->out,
                                         .err = end->err,
                                         .out_from = end->out_from,
                                         .err_from = end->err_from,
                                         .out_truncated = end->out_truncated,
                                         .err_truncated = end->err_truncated };
    slot->item.end = end_of_command(slot, end);
    slot->item.end.run_us = end->run_us;
    /* Without memory for its output the end counts all the same. */
    if (berth_result_pack(&result, &slot->result, NULL) >= 0)
        slot->item.end.result = berth_buf_slice(&slot->result);
    slot_push(slot);
}
