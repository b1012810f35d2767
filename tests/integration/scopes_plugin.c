/* SPDX-License-Identifier: MIT */
/* Parents for tests with real workers. Their children are the command `hold`, which ends when the
 * test says so, or parents again.
 *
 * The payload is "MODE COUNT DISPATCHER HOLD GAUGE", and of `nested` it is said twice: the second
 * half is the children's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <berth/worker.h>

#define COUNT_MAX     64
#define PAYLOAD_BYTES 1024
#define WORD_BYTES    256

struct plan {
    char mode[32], dispatcher[65], hold[WORD_BYTES], gauge[WORD_BYTES];
    unsigned count;
    int rest; /* where the children's own payload begins */
    char payload[PAYLOAD_BYTES];
};

static int plan_read(struct plan *plan, struct berth_slice payload)
{
    if (payload.bytes >= sizeof plan->payload)
        return -EMSGSIZE;
    memcpy(plan->payload, payload.data, payload.bytes);
    plan->payload[payload.bytes] = '\0';
    int words = sscanf(plan->payload, "%31s %u %64s %255s %255s %n", plan->mode, &plan->count,
                       plan->dispatcher, plan->hold, plan->gauge, &plan->rest);
    return words == 5 && plan->count <= COUNT_MAX ? 0 : -EINVAL;
}

static bool is(const struct plan *plan, const char *mode)
{
    return strcmp(plan->mode, mode) == 0;
}

static int submit(struct berth_attempt *attempt, const struct plan *plan, berth_job_id *ret_ids)
{
    const char *const command[] = { plan->hold, plan->gauge, NULL };
    struct berth_job_spec specs[COUNT_MAX];
    for (unsigned i = 0; i < plan->count; i++) {
        specs[i] = (struct berth_job_spec){ .dispatcher = plan->dispatcher, .max_attempts = 1 };
        if (is(plan, "nested")) {
            specs[i].handler = "parent";
            specs[i].payload = (struct berth_slice){ plan->payload + plan->rest,
                                                     strlen(plan->payload + plan->rest) };
        } else {
            specs[i].command = command;
        }
    }
    return berth_child_submit(attempt, specs, plan->count, ret_ids);
}

/* Those that are dead leave "child EXIT-CODE"; the last one counts. */
static int await_supervised(struct berth_attempt *attempt, const struct plan *plan,
                            const berth_job_id *ids)
{
    char text[64] = "none is dead";
    for (unsigned i = 0; i < plan->count; i++) {
        struct berth_job *job = NULL;
        int rc = berth_child_await(attempt, ids[i], &job);
        if (rc == -EREMOTEIO)
            (void)snprintf(text, sizeof text, "child %u: %d", i, job->exit_code);
        berth_job_free(job);
        if (rc < 0 && rc != -EREMOTEIO && rc != WEFT_ECHILD)
            return rc;
    }
    return berth_attempt_result(attempt, text, strlen(text));
}

static int await_all(struct berth_attempt *attempt, const struct plan *plan,
                     const berth_job_id *ids)
{
    int rc = 0;
    for (unsigned i = 0; rc >= 0 && i < plan->count; i++) {
        rc = berth_child_await(attempt, ids[i], NULL);
        berth_attempt_progress(attempt, i + 1, plan->count);
    }
    return rc;
}

static int parent(struct berth_attempt *attempt, void *arg)
{
    struct plan plan;
    berth_job_id ids[COUNT_MAX];
    (void)arg;
    if (plan_read(&plan, berth_attempt_payload(attempt)) < 0)
        return berth_attempt_fail_forever(attempt, "MODE COUNT DISPATCHER HOLD GAUGE is wanted");
    if (is(&plan, "supervised"))
        berth_attempt_supervise(attempt);
    int rc = submit(attempt, &plan, ids);
    if (rc < 0)
        return rc;
    if (is(&plan, "left"))
        return 0;
    if (is(&plan, "failing"))
        return berth_attempt_fail(attempt, "it fails");
    return is(&plan, "supervised") ? await_supervised(attempt, &plan, ids)
                                   : await_all(attempt, &plan, ids);
}

/* Sleeps suspended, for the milliseconds of its payload. */
static int sleeper(struct berth_attempt *attempt, void *arg)
{
    char text[16] = "";
    unsigned ms = 0;
    (void)arg;
    struct berth_slice payload = berth_attempt_payload(attempt);
    if (payload.bytes < sizeof text)
        memcpy(text, payload.data, payload.bytes);
    if (sscanf(text, "%u", &ms) != 1)
        return berth_attempt_fail_forever(attempt, "milliseconds are wanted");
    return berth_attempt_sleep_ms(attempt, ms);
}

static int scopes_open(struct berth_worker *worker, struct berth_error *err)
{
    int rc = berth_worker_handler(worker, "parent", parent, NULL, NULL, err);
    return rc < 0 ? rc : berth_worker_handler(worker, "sleeper", sleeper, NULL, NULL, err);
}

const struct berth_plugin berth_plugin = { .abi = BERTH_PLUGIN_ABI,
                                           .bytes = sizeof(struct berth_plugin),
                                           .name = "scopes",
                                           .version = "1.0",
                                           .open = scopes_open };
