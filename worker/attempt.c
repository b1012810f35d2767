/* SPDX-License-Identifier: MIT */
/* What a handler sees of its attempt, and what it leaves behind. */
#include "worker/attempt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"

#define KIND_HANDLER            "handler"
#define LOG_FIELDS_MAX          (WEFT_FIELDS_MAX + 8)
#define RETURNED_MESSAGE_FORMAT "the handler returned %d (%s): %s"

/* On weft_now_ns(), whichever comes first; 0 ms: there is none. */
static int64_t nearest_ns(int64_t timeout_ms, int64_t deadline_ms)
{
    int64_t left_ms = timeout_ms;
    if (deadline_ms > 0 && (timeout_ms <= 0 || deadline_ms < timeout_ms))
        left_ms = deadline_ms;
    return left_ms > 0 ? weft_deadline_ms(left_ms) : WEFT_NEVER;
}

int attempt_init(struct berth_attempt *attempt, const struct agent_grant *grant,
                 const struct registry_entry *handler, struct berth_error *err)
{
    BERTH_ASSERT(grant->dispatcher.bytes <= BERTH_NAME_BYTES_MAX);
    *attempt = (struct berth_attempt){
        .id = grant->attempt, .job = grant->job, .number = grant->number, .handler = handler
    };
    if (grant->dispatcher.bytes > 0)
        memcpy(attempt->dispatcher, grant->dispatcher.data, grant->dispatcher.bytes);
    attempt->deadline_ns = nearest_ns(grant->timeout_ms, grant->deadline_ms);
    atomic_init(&attempt->cancel, 0);
    berth_arena_init(&attempt->arena, ATTEMPT_BODY_ARENA_BYTES_MAX);
    int rc = berth_body_unpack(grant->body, &attempt->arena, &attempt->body, err);
    if (rc < 0) {
        berth_arena_fini(&attempt->arena);
        return rc;
    }
    BERTH_ASSERT(pthread_mutex_init(&attempt->lock, NULL) == 0);
    family_init(&attempt->family, attempt->id, NULL, NULL);
    return 0;
}

void attempt_fini(struct berth_attempt *attempt)
{
    family_fini(&attempt->family);
    (void)pthread_mutex_destroy(&attempt->lock);
    berth_arena_fini(&attempt->arena);
    free(attempt->result);
    free(attempt->message);
    free(attempt->refusal);
}

/* ---- what a handler may ask ---- */

berth_job_id berth_attempt_job(const struct berth_attempt *attempt)
{
    return (berth_job_id){ attempt->job };
}

uint32_t berth_attempt_number(const struct berth_attempt *attempt)
{
    return attempt->number;
}

struct berth_slice berth_attempt_payload(const struct berth_attempt *attempt)
{
    return attempt->body.payload;
}

const char *berth_attempt_context_find(const struct berth_attempt *attempt, const char *key)
{
    (void)attempt; /* the fields belong to the coroutine, and so to the attempt */
    return weft_field_find(key);
}

int64_t berth_attempt_deadline_ns(const struct berth_attempt *attempt)
{
    return attempt->deadline_ns;
}

const char *berth_attempt_cancel_reason(const struct berth_attempt *attempt)
{
    switch ((enum agent_cancel_reason)atomic_load(&attempt->cancel)) {
    case AGENT_CANCEL_JOB: return "cancel";
    case AGENT_CANCEL_TIMEOUT: return "timeout";
    case AGENT_CANCEL_STOP: return "drain";
    case AGENT_CANCEL_DEADLINE: return "deadline";
    case AGENT_CANCEL_CHILD: return "child";
    }
    return "";
}

/* ---- what it may say ---- */

struct log_fields {
    struct berth_log_field items[LOG_FIELDS_MAX + 1];
    size_t count;
};

/* A key that is no name would break the line. */
static void add_field(void *arg, const char *key, const char *value)
{
    struct log_fields *fields = arg;
    if (fields->count < LOG_FIELDS_MAX && berth_name_is_valid(key))
        fields->items[fields->count++] = BERTH_LOG_TEXT(key, value);
}

void berth_attempt_log(struct berth_attempt *attempt, const char *format, ...)
{
    char message[ATTEMPT_LOG_BYTES_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct log_fields fields = {
        .items = { BERTH_LOG_TEXT("message", message), BERTH_LOG_U64("job", attempt->job),
                   BERTH_LOG_U64("attempt", attempt->number),
                   BERTH_LOG_TEXT("dispatcher", attempt->dispatcher),
                   BERTH_LOG_TEXT("handler", attempt->handler->name) },
        .count = 5,
    };
    weft_field_each(add_field, &fields);
    fields.items[fields.count] = (struct berth_log_field){ .key = NULL };
    berth_log_write(BERTH_LOG_INFO, "handler_log", fields.items);
}

void berth_attempt_progress(struct berth_attempt *attempt, uint64_t done, uint64_t total)
{
    (void)pthread_mutex_lock(&attempt->lock);
    attempt->has_progress = true;
    attempt->done = done;
    attempt->total = total;
    (void)pthread_mutex_unlock(&attempt->lock);
    if (attempt->on_news)
        attempt->on_news(attempt);
}

bool attempt_progress(struct berth_attempt *attempt, uint64_t *ret_done, uint64_t *ret_total)
{
    (void)pthread_mutex_lock(&attempt->lock);
    bool has_progress = attempt->has_progress;
    *ret_done = attempt->done;
    *ret_total = attempt->total;
    (void)pthread_mutex_unlock(&attempt->lock);
    return has_progress;
}

int berth_attempt_result(struct berth_attempt *attempt, const void *data, size_t bytes)
{
    if (bytes > BERTH_PAYLOAD_BYTES_MAX)
        return -EMSGSIZE;
    void *result = malloc(bytes > 0 ? bytes : 1);
    if (!result)
        return -ENOMEM;
    if (bytes > 0)
        memcpy(result, data, bytes);
    (void)pthread_mutex_lock(&attempt->lock);
    void *old = attempt->result;
    attempt->result = result;
    attempt->result_bytes = bytes;
    (void)pthread_mutex_unlock(&attempt->lock);
    free(old);
    return 0;
}

/* Without memory the verdict counts all the same, and has no message. */
static int verdict_set(struct berth_attempt *attempt, enum attempt_verdict verdict,
                       int64_t retry_ms, const char *format, va_list args) BERTH_PRINTF(4, 0);
static int verdict_set(struct berth_attempt *attempt, enum attempt_verdict verdict,
                       int64_t retry_ms, const char *format, va_list args)
{
    char *message = malloc(BERTH_ERROR_TEXT_MAX);
    if (message && vsnprintf(message, BERTH_ERROR_TEXT_MAX, format, args) < 0)
        message[0] = '\0';
    (void)pthread_mutex_lock(&attempt->lock);
    char *old = attempt->message;
    attempt->message = message;
    attempt->verdict = verdict;
    attempt->retry_ms = retry_ms;
    (void)pthread_mutex_unlock(&attempt->lock);
    free(old);
    return verdict;
}

int berth_attempt_fail(struct berth_attempt *attempt, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = verdict_set(attempt, ATTEMPT_VERDICT_FAIL, 0, format, args);
    va_end(args);
    return rc;
}

int berth_attempt_fail_forever(struct berth_attempt *attempt, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = verdict_set(attempt, ATTEMPT_VERDICT_FAIL_FOREVER, 0, format, args);
    va_end(args);
    return rc;
}

static int64_t clamp_retry(int64_t ms)
{
    return ms < 1 ? 1 : ms > BERTH_DURATION_MS_MAX ? BERTH_DURATION_MS_MAX : ms;
}

int berth_attempt_retry_at(struct berth_attempt *attempt, int64_t unix_ms, const char *format, ...)
{
    int64_t now_ms = berth_clock_wall_us() / 1000;
    int64_t retry_ms = unix_ms > now_ms ? unix_ms - now_ms : 0;
    va_list args;
    va_start(args, format);
    int rc = verdict_set(attempt, ATTEMPT_VERDICT_RETRY_AT, clamp_retry(retry_ms), format, args);
    va_end(args);
    return rc;
}

int berth_attempt_snooze(struct berth_attempt *attempt, int64_t delay_ms)
{
    (void)pthread_mutex_lock(&attempt->lock);
    attempt->verdict = ATTEMPT_VERDICT_SNOOZE;
    attempt->retry_ms = clamp_retry(delay_ms);
    (void)pthread_mutex_unlock(&attempt->lock);
    return ATTEMPT_VERDICT_SNOOZE;
}

/* ---- children ---- */

void berth_attempt_supervise(struct berth_attempt *attempt)
{
    family_supervise(&attempt->family);
}

static void note_refusal(struct berth_attempt *attempt, const struct berth_error *err)
{
    berth_attempt_log(attempt, "children were not submitted: %s", err->message);
    (void)pthread_mutex_lock(&attempt->lock);
    if (!attempt->refusal)
        attempt->refusal = malloc(sizeof *attempt->refusal);
    if (attempt->refusal)
        *attempt->refusal = *err;
    (void)pthread_mutex_unlock(&attempt->lock);
}

int berth_child_submit(struct berth_attempt *attempt, const struct berth_job_spec *specs,
                       size_t count, berth_job_id *ret_ids)
{
    struct berth_error err;
    int rc = family_submit(&attempt->family, specs, count, ret_ids, &err);
    if (rc < 0 && rc != -ECANCELED)
        note_refusal(attempt, &err);
    return rc;
}

int berth_child_await(struct berth_attempt *attempt, berth_job_id id, struct berth_job **ret_job)
{
    return family_await(&attempt->family, id, ret_job);
}

int berth_attempt_sleep_ms(struct berth_attempt *attempt, int64_t ms)
{
    return family_sleep(&attempt->family, ms);
}

/* ---- how it ended ---- */

static struct agent_end end_of_verdict(const struct berth_attempt *attempt)
{
    struct agent_end end = { .retry_ms = attempt->retry_ms,
                             .error_kind = berth_slice_of(KIND_HANDLER),
                             .error_message = berth_slice_of(attempt->message) };
    switch (attempt->verdict) {
    case ATTEMPT_VERDICT_FAIL:
    case ATTEMPT_VERDICT_RETRY_AT: end.outcome = AGENT_FAILED; return end;
    case ATTEMPT_VERDICT_FAIL_FOREVER: end.outcome = AGENT_FAILED_FOREVER; return end;
    case ATTEMPT_VERDICT_SNOOZE:
        return (struct agent_end){ .outcome = AGENT_SNOOZED, .retry_ms = attempt->retry_ms };
    }
    BERTH_UNREACHABLE();
}

/* A handler that returns what a submit of children gave it says with it why. */
static const char *code_text(const struct berth_attempt *attempt, int rc)
{
    if (attempt->refusal && attempt->refusal->code == rc)
        return attempt->refusal->message;
    return rc <= WEFT_ECHILD ? weft_strerror(rc) : berth_strerror(rc);
}

static struct agent_end end_of_code(struct berth_attempt *attempt, int rc)
{
    if (rc >= 0)
        return (struct agent_end){ .outcome = AGENT_COMPLETED };
    if (rc == -ECANCELED && atomic_load(&attempt->cancel) != 0)
        return (struct agent_end){ .outcome = AGENT_CANCELLED };
    free(attempt->message); /* of a verdict that was not returned */
    attempt->message = malloc(BERTH_ERROR_TEXT_MAX);
    if (attempt->message)
        (void)snprintf(attempt->message, BERTH_ERROR_TEXT_MAX, RETURNED_MESSAGE_FORMAT, rc,
                       berth_error_name(rc), code_text(attempt, rc));
    return (struct agent_end){ .outcome = AGENT_FAILED,
                               .error_kind = berth_slice_of(KIND_HANDLER),
                               .error_message = berth_slice_of(attempt->message) };
}

int attempt_end(struct berth_attempt *attempt, int rc, struct berth_buf *packed,
                struct agent_end *ret_end)
{
    struct berth_result result = { .payload = { attempt->result, attempt->result_bytes },
                                   .has_progress = attempt->has_progress,
                                   .done = attempt->done,
                                   .total = attempt->total };
    int packed_rc = berth_result_pack(&result, packed, NULL);
    if (packed_rc < 0)
        return packed_rc;
    bool is_verdict = attempt->verdict != 0 && rc == (int)attempt->verdict;
    *ret_end = is_verdict ? end_of_verdict(attempt) : end_of_code(attempt, rc);
    ret_end->result = berth_buf_slice(packed);
    return 0;
}
