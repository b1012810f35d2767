/* SPDX-License-Identifier: MIT */
/* What a job's command writes, followed by asking again and again.
 *
 * The broker has the end of what a running attempt wrote, and the result the end of what one that
 * ended left; the place of each byte in its stream says which are new. So nothing that the broker
 * forgets, when it is killed, comes twice: what it has again later is left out here, and what it
 * never has again comes with the result.
 */
#include <berth/client.h>

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "client/call.h"

/* Between two questions: the shorter the more comes. */
#define LOGS_EVERY_MS_MIN 100
#define LOGS_EVERY_MS_MAX 800

enum stream { STREAM_OUT, STREAM_ERR, STREAM_COUNT };

struct logs {
    struct berth_client *client;
    berth_job_id id;
    int64_t deadline_ms;
    int (*each)(void *arg, const struct berth_output *output);
    void *arg;
    uint32_t attempt;          /* whose output was given last; 0: none */
    uint64_t at[STREAM_COUNT]; /* and how much of it */
    uint32_t finished;         /* attempts up to this one were given to their end */
    enum berth_state state;
    bool has_news; /* something was given since the last question */
};

/* ---- giving ---- */

static int give(struct logs *logs, enum stream stream, uint64_t from, struct berth_slice bytes,
                struct berth_error *err)
{
    uint64_t *at = &logs->at[stream];
    if (bytes.bytes == 0 || from + bytes.bytes <= *at)
        return 0;
    uint64_t known = from < *at ? *at - from : 0;
    struct berth_output output = { .attempt = logs->attempt,
                                   .is_err = stream == STREAM_ERR,
                                   .offset = from + known,
                                   .skipped = from > *at ? from - *at : 0,
                                   .bytes = { (const char *)bytes.data + known,
                                              bytes.bytes - (size_t)known } };
    *at = from + bytes.bytes;
    logs->has_news = true;
    int rc = logs->each(logs->arg, &output);
    return rc < 0 ? berth_fail(err, rc, "the output was ended") : 0;
}

static void begin_attempt(struct logs *logs, uint32_t attempt)
{
    if (logs->attempt == attempt)
        return;
    logs->attempt = attempt;
    logs->at[STREAM_OUT] = logs->at[STREAM_ERR] = 0;
}

/* The end of what an attempt left, which follows what it was seen to write. */
static int give_result(struct logs *logs, uint32_t attempt, const struct berth_job *job,
                       struct berth_error *err)
{
    if (attempt == 0 || attempt < logs->attempt || attempt <= logs->finished)
        return 0;
    begin_attempt(logs, attempt);
    logs->finished = attempt;
    int rc = give(logs, STREAM_OUT, job->out_offset, job->out, err);
    return rc < 0 ? rc : give(logs, STREAM_ERR, job->err_offset, job->err, err);
}

/* ---- asking ---- */

static int pack_output(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    return berth_pack_output(number, call->args, frame);
}

static int pack_get(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const berth_job_id *id = call->args;
    return berth_pack_get(number, *id, frame);
}

static int ask_output(const struct logs *logs, struct berth_answer **ret_answer,
                      struct berth_error *err)
{
    struct berth_output_place place = { .id = logs->id,
                                        .attempt = logs->attempt,
                                        .out_from = logs->at[STREAM_OUT],
                                        .err_from = logs->at[STREAM_ERR] };
    struct berth_call call = { .kind = REQUEST_QUERY, .pack = pack_output, .args = &place };
    return berth_call_run(logs->client, &call, logs->deadline_ms, BERTH_ANSWER_OUTPUT, ret_answer,
                          err);
}

/* Whose result the job shows; 0: that cannot be told. */
static uint32_t attempt_of_result(const struct berth_job *job)
{
    switch (job->state) {
    case BERTH_RUNNING:
    case BERTH_SUSPENDED: return job->attempt > 0 ? job->attempt - 1 : 0;
    case BERTH_CANCELLING: return 0; /* it runs, or it does not */
    case BERTH_SCHEDULED:
    case BERTH_READY:
    case BERTH_RETRYING:
    case BERTH_COMPLETED:
    case BERTH_DEAD:
    case BERTH_CANCELLED: return job->attempt;
    }
    return 0;
}

/* Gives what the last attempt that has ended left. */
static int take_result(struct logs *logs, struct berth_error *err)
{
    struct berth_call call = { .kind = REQUEST_QUERY, .pack = pack_get, .args = &logs->id };
    BERTH_AUTO(berth_answer) answer = NULL;
    int rc =
        berth_call_run(logs->client, &call, logs->deadline_ms, BERTH_ANSWER_JOBS, &answer, err);
    if (rc < 0)
        return rc;
    if (answer->jobs.count == 0)
        return berth_fail(err, BERTH_ENOTFOUND, "there is no job %" PRIu64, logs->id.v);
    const struct berth_job *job = &answer->jobs.items[0];
    logs->state = job->state;
    return give_result(logs, attempt_of_result(job), job, err);
}

/* Whether an attempt has ended whose last words were not given yet: the one that the answer is
 * about, or the one that was followed. */
static bool is_end_due(const struct logs *logs, const struct berth_answer *answer)
{
    uint32_t attempt = answer->output.attempt;
    if (answer->output.is_over)
        return attempt > logs->finished;
    return logs->attempt > logs->finished && attempt > logs->attempt;
}

/* What the broker has of the attempt that runs. */
static int take_output(struct logs *logs, const struct berth_answer *answer,
                       struct berth_error *err)
{
    uint32_t attempt = answer->output.attempt;
    int rc = is_end_due(logs, answer) ? take_result(logs, err) : 0;
    logs->state = answer->output.state;
    if (rc < 0 || answer->output.is_over || attempt < logs->attempt)
        return rc;
    begin_attempt(logs, attempt);
    rc = give(logs, STREAM_OUT, answer->output.out_from, answer->output.out, err);
    return rc < 0 ? rc : give(logs, STREAM_ERR, answer->output.err_from, answer->output.err, err);
}

static int step(struct logs *logs, struct berth_error *err)
{
    BERTH_AUTO(berth_answer) answer = NULL;
    logs->has_news = false;
    int rc = ask_output(logs, &answer, err);
    if (rc == BERTH_ENOTFOUND)
        return take_result(logs, err); /* it has ended, or never was */
    return rc < 0 ? rc : take_output(logs, answer, err);
}

/* Waits until it is time for the next question. -ETIMEDOUT: there will be none. */
static int rest(const struct logs *logs, int64_t *every_ms, struct berth_error *err)
{
    *every_ms = logs->has_news                      ? LOGS_EVERY_MS_MIN
                : 2 * *every_ms < LOGS_EVERY_MS_MAX ? 2 * *every_ms
                                                    : LOGS_EVERY_MS_MAX;
    int64_t left_ms = logs->deadline_ms - berth_clock_monotonic_ms();
    if (left_ms <= *every_ms)
        return berth_fail(err, -ETIMEDOUT, "the time is over");
    struct timespec pause = { .tv_nsec = *every_ms * 1000000 };
    (void)nanosleep(&pause, NULL);
    return 0;
}

int berth_job_logs(struct berth_client *client, berth_job_id id, bool is_followed,
                   int (*each)(void *arg, const struct berth_output *output), void *arg,
                   enum berth_state *ret_state, int64_t timeout_ms, struct berth_error *err)
{
    struct logs logs = { .client = client,
                         .id = id,
                         .deadline_ms = berth_deadline_ms(timeout_ms),
                         .each = each,
                         .arg = arg };
    int64_t every_ms = LOGS_EVERY_MS_MIN;
    int rc = berth_job_id_check(id, err);
    if (rc == 0)
        rc = step(&logs, err);
    while (rc == 0 && is_followed && logs.state < BERTH_COMPLETED) {
        rc = rest(&logs, &every_ms, err);
        if (rc == 0)
            rc = step(&logs, err);
    }
    if (rc == 0 && ret_state)
        *ret_state = logs.state;
    return rc;
}
