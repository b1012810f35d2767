/* SPDX-License-Identifier: MIT */
/* How one job is shown. */
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/print.h"

static void context_json(struct json *json, const struct berth_job *job)
{
    json_object_begin(json, "context");
    for (size_t i = 0; i < job->context_count; i++)
        json_text(json, job->context[i].key, job->context[i].value);
    json_object_end(json);
}

static void argv_json(struct json *json, const struct berth_job *job)
{
    if (!job->command) {
        json_null(json, "argv");
        return;
    }
    json_array_begin(json, "argv");
    for (size_t i = 0; job->command[i]; i++)
        json_text(json, NULL, job->command[i]);
    json_array_end(json);
}

static void result_json(struct json *json, const struct berth_job *job)
{
    if (!job->has_result) {
        json_null(json, "result");
        return;
    }
    json_object_begin(json, "result");
    if (job->has_exit_code)
        json_i64(json, "exit_code", job->exit_code);
    else
        json_null(json, "exit_code");
    json_bytes(json, "stdout", job->out);
    json_bytes(json, "stderr", job->err);
    json_bool(json, "stdout_truncated", job->is_out_truncated);
    json_bool(json, "stderr_truncated", job->is_err_truncated);
    if (job->result.bytes > 0)
        json_bytes(json, "payload", job->result);
    else
        json_null(json, "payload");
    json_object_end(json);
}

static void error_json(struct json *json, const struct berth_job *job)
{
    if (job->error_kind[0] == '\0') {
        json_null(json, "error");
        return;
    }
    json_object_begin(json, "error");
    json_text(json, "kind", job->error_kind);
    json_text(json, "message", job->error_message);
    json_object_end(json);
}

static void after_json(struct json *json, const struct berth_job *job)
{
    json_array_begin(json, "after");
    for (size_t i = 0; i < job->after_count; i++)
        json_u64(json, NULL, job->after[i].v);
    json_array_end(json);
}

/* null: the dispatcher's. */
static void duration_json(struct json *json, const char *key, int64_t ms)
{
    if (ms != 0)
        json_i64(json, key, ms);
    else
        json_null(json, key);
}

static void options_json(struct json *json, const struct berth_job *job)
{
    json_time(json, "deadline_at", job->deadline_unix_us);
    duration_json(json, "queue_timeout_ms", job->queue_timeout_ms);
    duration_json(json, "backoff_ms", job->backoff_ms);
    duration_json(json, "backoff_max_ms", job->backoff_ms_max);
    json_text_or_null(json, "unique", job->unique);
    after_json(json, job);
}

static void progress_json(struct json *json, const struct berth_job *job)
{
    if (!job->has_progress) {
        json_null(json, "progress");
        return;
    }
    json_object_begin(json, "progress");
    json_u64(json, "done", job->progress_done);
    if (job->progress_total > 0)
        json_u64(json, "total", job->progress_total);
    else
        json_null(json, "total");
    json_object_end(json);
}

void cli_job_json(struct json *json, const struct berth_job *job)
{
    json_u64(json, "id", job->id.v);
    json_text(json, "dispatcher", job->dispatcher);
    json_text(json, "handler", job->handler);
    argv_json(json, job);
    json_text(json, "state", berth_state_name(job->state));
    json_text_or_null(json, "reason", job->reason);
    json_u64(json, "attempt", job->attempt);
    json_u64(json, "max_attempts", job->max_attempts);
    json_i64(json, "priority", job->priority);
    json_text_or_null(json, "key", job->idempotency_key);
    json_text_or_null(json, "group", job->group);
    if (job->parent.v != 0)
        json_u64(json, "parent", job->parent.v);
    else
        json_null(json, "parent");
    json_time(json, "submitted_at", job->submitted_unix_us);
    json_time(json, "run_at", job->run_at_unix_us);
    json_time(json, "started_at", job->started_unix_us);
    json_time(json, "finished_at", job->finished_unix_us);
    json_text_or_null(json, "worker", job->worker);
    progress_json(json, job);
    result_json(json, job);
    error_json(json, job);
    context_json(json, job);
    if (job->has_array_index)
        json_u64(json, "array_index", job->array_index);
    else
        json_null(json, "array_index");
    if (job->has_line)
        json_text(json, "line", job->line);
    else
        json_null(json, "line");
    options_json(json, job);
}

static void print_line(const char *name, const char *text)
{
    if (text[0] == '\0')
        return;
    (void)printf("%-12s", name);
    print_text(stdout, berth_slice_of(text), false);
    (void)putchar('\n');
}

static void print_time(const char *name, int64_t unix_us)
{
    char text[BERTH_TIME_TEXT_MAX];
    if (unix_us != 0)
        print_line(name, berth_time_format(unix_us, text));
}

static void print_duration(const char *name, int64_t ms)
{
    char text[BERTH_DURATION_TEXT_MAX];
    if (ms != 0)
        print_line(name, berth_duration_format(ms, text));
}

static void print_after(const struct berth_job *job)
{
    if (job->after_count == 0)
        return;
    (void)printf("%-12s", "after");
    for (size_t i = 0; i < job->after_count; i++)
        (void)printf("%s%" PRIu64, i > 0 ? "," : "", job->after[i].v);
    (void)putchar('\n');
}

static void print_command(const struct berth_job *job)
{
    if (!job->command)
        return;
    (void)printf("%-12s", "command");
    for (size_t i = 0; job->command[i]; i++) {
        if (i > 0)
            (void)putchar(' ');
        print_word(stdout, job->command[i]);
    }
    (void)putchar('\n');
}

/* Output of the job under a head of its own. */
static void print_output(const char *name, struct berth_slice text, bool is_truncated)
{
    if (text.bytes == 0)
        return;
    (void)printf("\n%s%s:\n", name, is_truncated ? " (only its end was kept)" : "");
    print_text(stdout, text, true);
    if (((const char *)text.data)[text.bytes - 1] != '\n')
        (void)putchar('\n');
}

static void print_progress(const struct berth_job *job)
{
    if (!job->has_progress)
        return;
    (void)printf("%-12s%" PRIu64, "progress", job->progress_done);
    if (job->progress_total > 0)
        (void)printf(" of %" PRIu64 " (%.0f %%)", job->progress_total,
                     100.0 * (double)job->progress_done / (double)job->progress_total);
    (void)putchar('\n');
}

/* It may be beyond what is allowed: what was lost does not count, nor what was before a retry. */
static void print_attempt(const struct berth_job *job)
{
    (void)printf("%-12s%" PRIu32, "attempt", job->attempt);
    if (job->attempt <= job->max_attempts)
        (void)printf(" of %" PRIu32, job->max_attempts);
    (void)printf("\n");
}

void cli_job_print(const struct berth_job *job)
{
    (void)printf("%-12s%" PRIu64 "\n", "job", job->id.v);
    print_line("state", berth_state_name(job->state));
    print_line("reason", job->reason);
    print_line("dispatcher", job->dispatcher);
    print_line("handler", job->handler);
    print_command(job);
    if (job->has_array_index)
        (void)printf("%-12s%" PRIu64 "\n", "array index", job->array_index);
    print_line("line", job->line);
    if (job->parent.v != 0)
        (void)printf("%-12s%" PRIu64 "\n", "parent", job->parent.v);
    print_line("key", job->idempotency_key);
    print_line("group", job->group);
    print_line("unique", job->unique);
    print_after(job);
    print_attempt(job);
    if (job->priority != 0)
        (void)printf("%-12s%" PRId32 "\n", "priority", job->priority);
    print_time("submitted", job->submitted_unix_us);
    print_time("runs at", job->run_at_unix_us);
    print_time("deadline", job->deadline_unix_us);
    print_duration("queue time", job->queue_timeout_ms);
    print_duration("backoff", job->backoff_ms);
    print_duration("backoff max", job->backoff_ms_max);
    print_time("started", job->started_unix_us);
    print_time("finished", job->finished_unix_us);
    print_line("worker", job->worker);
    print_progress(job);
    for (size_t i = 0; i < job->context_count; i++)
        print_line(job->context[i].key, job->context[i].value);
    if (job->has_exit_code)
        (void)printf("%-12s%" PRId32 "\n", "exit code", job->exit_code);
    if (job->error_kind[0] != '\0') {
        (void)printf("%-12s%s: ", "error", job->error_kind);
        print_text(stdout, berth_slice_of(job->error_message), false);
        (void)putchar('\n');
    }
    print_output("stdout", job->out, job->is_out_truncated);
    print_output("stderr", job->err, job->is_err_truncated);
    print_output("result", job->result, false);
}
