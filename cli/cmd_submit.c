/* SPDX-License-Identifier: MIT */
/* berth submit: one job from the command line, or one for each index or line. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/expand.h"
#include "cli/json.h"
#include "cli/many.h"
#include "cli/print.h"
#include "cli/wait.h"

#define ID_TEXT_MAX 24
#define TIME_US_MAX INT64_C(253402300799999999) /* the end of the year 9999 */

struct submit_opts {
    const char *dispatcher, *handler, *payload, *payload_file, *key;
    uint64_t max_attempts;
    int64_t timeout_ms;
    const char *group, *at, *after, *unique;
    int64_t priority, delay_ms, queue_timeout_ms, deadline_ms, backoff_ms, backoff_ms_max;
    int on_conflict;
    struct berth_text_list context;
    bool is_waiting;
    const char *array, *each_line;
};

/* What the options say in other words. */
struct details {
    struct berth_field context[BERTH_TEXT_LIST_MAX];
    berth_job_id after[BERTH_JOB_AFTER_MAX];
    size_t after_count;
    int64_t run_at_unix_us;
    char *keys[BERTH_TEXT_LIST_MAX]; /* of the context; owned */
};

static int check_array(const char *what, const char *text, struct berth_error *err)
{
    struct expand_array array;
    return expand_array_parse(what, text, &array, err);
}

/* In the order of enum berth_unique_conflict. */
static const char *const conflicts[] = { "reject", "existing", NULL };

/* "1,2,3" */
static int parse_after(const char *what, const char *text, berth_job_id *ids, size_t *ret_count,
                       struct berth_error *err)
{
    size_t count = 0;
    for (const char *at = text; at; count++) {
        char id[ID_TEXT_MAX];
        size_t bytes = strcspn(at, ",");
        if (count == BERTH_JOB_AFTER_MAX)
            return berth_fail(err, BERTH_EVALUE, "%s has more than %d ids", what,
                              BERTH_JOB_AFTER_MAX);
        /* What does not fit is longer than any id, and must not become a shorter one. */
        (void)snprintf(id, sizeof id, "%s%.*s", bytes < sizeof id ? "" : "...",
                       (int)(bytes < sizeof id ? bytes : sizeof id - 4), at);
        int rc = berth_u64_parse(what, id, 1, CLI_JOB_ID_MAX, &ids[count].v, err);
        if (rc < 0)
            return rc;
        at = at[bytes] == ',' ? at + bytes + 1 : NULL;
    }
    *ret_count = count;
    return 0;
}

static int check_after(const char *what, const char *text, struct berth_error *err)
{
    berth_job_id ids[BERTH_JOB_AFTER_MAX];
    size_t count;
    return parse_after(what, text, ids, &count, err);
}

static int check_time(const char *what, const char *text, struct berth_error *err)
{
    int64_t unix_us;
    int rc = berth_time_parse(what, text, &unix_us, err);
    if (rc == 0 && (unix_us <= 0 || unix_us > TIME_US_MAX))
        rc = berth_fail(err, BERTH_EVALUE,
                        "%s: '%.60s' is not allowed; a time after 1970-01-01T00:00:00Z and up to "
                        "9999-12-31T23:59:59Z is wanted",
                        what, text);
    return rc;
}

static int check_context(const char *what, const char *text, struct berth_error *err)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return berth_fail(err, BERTH_EVALUE, "%s: '%.60s' is not allowed; KEY=VALUE is wanted",
                          what, text);
    return 0;
}

#define DURATION(name_, member_, min_, help_)                                                      \
    {                                                                                              \
        .name = (name_), .type = BERTH_SETTING_DURATION,                                           \
        .offset = offsetof(struct submit_opts, member_), .min = (min_),                            \
        .max = CLI_DURATION_MS_MAX, .value = "TIME", .help = (help_)                               \
    }
#define TEXT(name_, type_, member_, value_, help_, check_)                                         \
    {                                                                                              \
        .name = (name_), .type = BERTH_SETTING_##type_,                                            \
        .offset = offsetof(struct submit_opts, member_), .value = (value_), .help = (help_),       \
        .check = (check_)                                                                          \
    }

static const struct berth_setting settings[] = {
    { .name = "dispatcher",
      .letter = 'd',
      .type = BERTH_SETTING_NAME,
      .offset = offsetof(struct submit_opts, dispatcher),
      .value = "NAME",
      .help = "the dispatcher whose limit counts (default: default)" },
    { .name = "handler",
      .type = BERTH_SETTING_NAME,
      .offset = offsetof(struct submit_opts, handler),
      .value = "NAME",
      .help = "run this handler of a worker's plugin, not a command" },
    { .name = "payload",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct submit_opts, payload),
      .value = "TEXT",
      .help = "what the handler gets, or the command reads on stdin" },
    { .name = "payload_file",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct submit_opts, payload_file),
      .value = "FILE",
      .help = "the same from a file; - is stdin" },
    { .name = "key",
      .type = BERTH_SETTING_KEY,
      .offset = offsetof(struct submit_opts, key),
      .value = "KEY",
      .help = "idempotency key: submitting again finds the same job" },
    { .name = "max_attempts",
      .type = BERTH_SETTING_U64,
      .offset = offsetof(struct submit_opts, max_attempts),
      .min = 1,
      .max = CLI_MAX_ATTEMPTS_MAX,
      .value = "N",
      .help = "failed attempts before the job is dead (default: the dispatcher's)" },
    DURATION("timeout", timeout_ms, 1, "of one attempt (default: the dispatcher's)"),
    TEXT("group", KEY, group, "GROUP", "count it in this group of its dispatcher", NULL),
    DURATION("delay", delay_ms, 1, "not before that much later"),
    TEXT("at", TEXT, at, "TIME", "not before this time: 2027-01-31T09:30:00Z", check_time),
    { .name = "priority",
      .type = BERTH_SETTING_I64,
      .offset = offsetof(struct submit_opts, priority),
      .min = -100,
      .max = 100,
      .value = "N",
      .help = "-100 to 100, higher first (default 0)" },
    DURATION("queue_timeout", queue_timeout_ms, 1,
             "ready at most so long (default: the dispatcher's)"),
    DURATION("deadline", deadline_ms, 1, "to its end, from now on (default: the dispatcher's)"),
    DURATION("backoff", backoff_ms, 1, "before the second attempt (default: the dispatcher's)"),
    DURATION("backoff_max", backoff_ms_max, 1, "the longest backoff (default: the dispatcher's)"),
    TEXT("context", LIST, context, "KEY=VALUE", "a field that goes with it", check_context),
    TEXT("after", TEXT, after, "ID[,ID]", "not before these jobs have completed", check_after),
    TEXT("unique", KEY, unique, "KEY", "only one live job may have this key", NULL),
    { .name = "on_conflict",
      .type = BERTH_SETTING_CHOICE,
      .offset = offsetof(struct submit_opts, on_conflict),
      .choices = conflicts,
      .value = "reject|existing",
      .help = "when there is one: fail, or print its id (default reject)" },
    { .name = "wait",
      .type = BERTH_SETTING_FLAG,
      .offset = offsetof(struct submit_opts, is_waiting),
      .help = "wait for its end: 0 completed, 3 dead, 4 cancelled" },
    { .name = "array",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct submit_opts, array),
      .value = "A-B[:STEP]",
      .help = "a job for each index, which takes the place of {} in the command",
      .check = check_array },
    { .name = "each_line",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct submit_opts, each_line),
      .value = "FILE",
      .help = "a job for each line, which takes the place of {}; - is stdin" },
};

/* What has become of it; a state of 0 is not known. */
struct outcome {
    struct berth_submitted submitted;
    enum berth_state state;
};

static int check_many(const struct submit_opts *opts)
{
    if (opts->array && opts->each_line)
        return cli_usage("--array and --each-line: one of the two");
    if (opts->handler && (opts->array || opts->each_line))
        return cli_usage("%s is for commands: a handler has no arguments",
                         opts->array ? "--array" : "--each-line");
    if (opts->each_line && opts->payload_file && strcmp(opts->each_line, "-") == 0 &&
        strcmp(opts->payload_file, "-") == 0)
        return cli_usage("--each-line - and --payload-file -: stdin can be read once");
    return CLI_OK;
}

static int say_backoff(int64_t ms, int64_t ms_max)
{
    char text[BERTH_DURATION_TEXT_MAX], text_max[BERTH_DURATION_TEXT_MAX];
    return cli_usage("--backoff: '%s' is longer than --backoff-max, which is %s",
                     berth_duration_format(ms, text), berth_duration_format(ms_max, text_max));
}

static int check_usage(const struct berth_args *args, const struct submit_opts *opts)
{
    size_t command_words = args->operands_count - args->rest_index;
    if (args->rest_index > 0)
        return cli_usage("'%.60s': the command stands behind '--': berth submit -- COMMAND",
                         args->operands[0]);
    if (opts->handler && command_words > 0)
        return cli_usage("--handler and a command: a job has one of the two");
    if (!opts->handler && command_words == 0)
        return cli_usage(args->has_rest ? "the command behind '--' is missing"
                                        : "a command is wanted, behind '--', or --handler NAME");
    if (!opts->handler && args->operands[0][0] == '\0')
        return cli_usage("the command behind '--' is empty");
    if (opts->payload && opts->payload_file)
        return cli_usage("--payload and --payload-file: a job has one payload");
    if (opts->payload && strlen(opts->payload) > BERTH_PAYLOAD_BYTES_MAX)
        return cli_usage("--payload has %zu bytes, allowed is 1MiB", strlen(opts->payload));
    if (opts->delay_ms && opts->at)
        return cli_usage("--delay and --at: a job has one of the two");
    if (opts->on_conflict && !opts->unique)
        return cli_usage("--on-conflict is for a job with --unique");
    if (opts->backoff_ms_max && opts->backoff_ms > opts->backoff_ms_max)
        return say_backoff(opts->backoff_ms, opts->backoff_ms_max);
    return check_many(opts);
}

/* All was checked already, so that only memory can be missing. */
static int take_details(const struct submit_opts *opts, struct details *details)
{
    if (opts->at)
        (void)berth_time_parse("--at", opts->at, &details->run_at_unix_us, NULL);
    if (opts->after)
        (void)parse_after("--after", opts->after, details->after, &details->after_count, NULL);
    for (size_t i = 0; i < opts->context.count; i++) {
        const char *item = opts->context.items[i], *equals = strchr(item, '=');
        details->keys[i] = strndup(item, (size_t)(equals - item));
        if (!details->keys[i])
            return -ENOMEM;
        details->context[i] = (struct berth_field){ .key = details->keys[i], .value = equals + 1 };
    }
    return 0;
}

/* Reads all of a file; `-` is stdin. CLI_OK, or says why not. */
static int read_file(struct cli *cli, const char *option, const char *path, const char *size_max,
                     struct berth_buf *ret_buf)
{
    bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "stdin" : path;
    BERTH_AUTO_FD int file_fd = is_stdin ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (!is_stdin && file_fd < 0) {
        int rc = berth_fail(&cli->err, -errno, "%s: open '%s'", option, path);
        return cli_fail(cli, rc);
    }
    int rc = berth_buf_fill(ret_buf, is_stdin ? STDIN_FILENO : file_fd);
    if (rc == -EMSGSIZE)
        return cli_usage("%s: '%.60s' has more than %s", option, name, size_max);
    if (rc < 0) {
        rc = berth_fail(&cli->err, rc, "%s: read '%s'", option, name);
        return cli_fail(cli, rc);
    }
    return CLI_OK;
}

static void print_json(const struct outcome *outcome)
{
    struct json json;
    json_init(&json, stdout);
    json_document_begin(&json, "berth.submitted/1");
    json_array_begin(&json, "items");
    json_object_begin(&json, NULL);
    json_u64(&json, "id", outcome->submitted.id.v);
    json_bool(&json, "existing", outcome->submitted.is_existing);
    json_text_or_null(&json, "state", outcome->state ? berth_state_name(outcome->state) : "");
    json_object_end(&json);
    json_array_end(&json);
    json_null(&json, "next");
    json_document_end(&json);
}

/* An end that makes the command fail is said with its reason, if the broker still tells it. */
static void say_failure(struct cli *cli, const struct outcome *outcome)
{
    struct berth_job *job = NULL;
    berth_job_id id = outcome->submitted.id;
    if (berth_job_get(cli->client, id, &job, cli->opts.connect_timeout_ms, NULL) < 0)
        job = NULL;
    (void)fprintf(stderr, "berth: job %" PRIu64 " is %s", id.v, berth_state_name(outcome->state));
    if (job && outcome->state == BERTH_DEAD && job->error_message[0]) {
        (void)fputs(": ", stderr);
        print_text(stderr, berth_slice_of(job->error_message), false);
    }
    (void)fputc('\n', stderr);
    berth_job_free(job);
}

static int wait_for_end(struct cli *cli, struct outcome *outcome)
{
    struct wait wait;
    int rc = wait_init(&wait, &outcome->submitted.id, 1, &cli->err);
    if (rc == 0)
        rc = wait_run(&wait, cli->client, false, INT64_MAX, &cli->err);
    outcome->state = wait_state(&wait, outcome->submitted.id);
    int code = rc < 0 ? cli_fail(cli, rc) : wait_exit(&wait);
    if (rc == 0 && outcome->state != BERTH_COMPLETED)
        say_failure(cli, outcome);
    wait_fini(&wait);
    return code;
}

static struct berth_job_spec spec_of(const struct cli *cli, const struct submit_opts *opts,
                                     const struct details *details, struct berth_slice payload)
{
    return (struct berth_job_spec){ .dispatcher = opts->dispatcher,
                                    .handler = opts->handler,
                                    .command = opts->handler ? NULL : cli->args->operands,
                                    .payload = payload,
                                    .idempotency_key = opts->key,
                                    .context = details->context,
                                    .context_count = opts->context.count,
                                    .timeout_ms = opts->timeout_ms,
                                    .max_attempts = (uint32_t)opts->max_attempts,
                                    .priority = (int32_t)opts->priority,
                                    .delay_ms = opts->delay_ms,
                                    .run_at_unix_us = details->run_at_unix_us,
                                    .group = opts->group,
                                    .queue_timeout_ms = opts->queue_timeout_ms,
                                    .deadline_ms = opts->deadline_ms,
                                    .backoff_ms = opts->backoff_ms,
                                    .backoff_ms_max = opts->backoff_ms_max,
                                    .unique = opts->unique,
                                    .on_conflict = (enum berth_unique_conflict)opts->on_conflict,
                                    .after = details->after,
                                    .after_count = details->after_count };
}

static int submit(struct cli *cli, const struct berth_job_spec *spec, bool is_waiting)
{
    struct outcome outcome = { .state = 0 };
    int64_t timeout_ms = is_waiting ? CLI_PATIENCE_MS : cli->opts.connect_timeout_ms;
    int rc = cli_connect(cli, is_waiting ? CLI_PATIENCE_MS : 0);
    if (rc == 0)
        rc = berth_submit_many(cli->client, spec, 1, &outcome.submitted, timeout_ms, &cli->err);
    if (rc < 0)
        return cli_fail(cli, rc);

    if (!cli->opts.is_json) {
        (void)printf("%" PRIu64 "\n", outcome.submitted.id.v);
        (void)fflush(stdout); /* also for those who are interrupted while they wait */
    }
    int code = is_waiting ? wait_for_end(cli, &outcome) : CLI_OK;
    if (cli->opts.is_json)
        print_json(&outcome);
    return code;
}

static int submit_array(struct cli *cli, const struct submit_opts *opts,
                        const struct berth_job_spec *base)
{
    struct expand_array array;
    struct expand expand;
    int rc = expand_array_parse("--array", opts->array, &array, &cli->err);
    if (rc == 0)
        rc = expand_begin(&expand, base, &array, NULL, 0, &cli->err);
    return rc < 0 ? cli_fail(cli, rc) : many_submit(cli, &expand, opts->is_waiting);
}

static int submit_lines(struct cli *cli, const struct submit_opts *opts,
                        const struct berth_job_spec *base)
{
    struct berth_buf text;
    struct expand expand;
    size_t count;
    berth_buf_init(&text, EXPAND_LINES_BYTES_MAX);
    int code = read_file(cli, "--each-line", opts->each_line, "256MiB", &text);
    if (code == CLI_OK) {
        int rc = expand_lines_cut("--each-line", &text, &count, &cli->err);
        if (rc == 0)
            rc = expand_begin(&expand, base, NULL, berth_buf_text(&text), count, &cli->err);
        if (rc == 0 && count == 0)
            cli_remark(cli, "no lines, no jobs");
        code = rc < 0 ? cli_fail(cli, rc) : many_submit(cli, &expand, opts->is_waiting);
    }
    berth_buf_fini(&text);
    return code;
}

static int run(void *context)
{
    struct cli *cli = context;
    struct submit_opts opts = { .dispatcher = NULL };
    int rc = cli_begin(cli, &opts);
    if (rc < 0)
        return cli_fail(cli, rc);
    int code = check_usage(cli->args, &opts);
    if (code != CLI_OK)
        return code;

    struct berth_buf file;
    berth_buf_init(&file, BERTH_PAYLOAD_BYTES_MAX);
    if (opts.payload_file)
        code = read_file(cli, "--payload-file", opts.payload_file, "1MiB", &file);
    struct details details = { .after_count = 0 };
    if (take_details(&opts, &details) < 0)
        code = cli_fail(cli, berth_fail(&cli->err, -ENOMEM, "submit the job"));
    struct berth_job_spec spec =
        spec_of(cli, &opts, &details,
                opts.payload_file ? berth_buf_slice(&file) : berth_slice_of(opts.payload));
    if (code == CLI_OK)
        code = opts.array       ? submit_array(cli, &opts, &spec)
               : opts.each_line ? submit_lines(cli, &opts, &spec)
                                : submit(cli, &spec, opts.is_waiting);
    for (size_t i = 0; i < BERTH_TEXT_LIST_MAX; i++)
        free(details.keys[i]);
    berth_buf_fini(&file);
    return code;
}

const struct berth_command cmd_submit = {
    .name = "submit",
    .operands = "-- COMMAND [ARG...] | --handler NAME",
    .summary = "submit a job, or many, and print their ids",
    .examples = "  berth submit -- date\n"
                "  berth submit -d newsletter --max-attempts 3 -- send-mail alice\n"
                "  berth submit -d newsletter --handler mail --payload alice@example.org\n"
                "  report | berth submit --key report-2026-01 --payload-file - -- archive\n"
                "  berth submit --delay 10m --priority 5 -- remind alice\n"
                "  berth submit --wait -- make test && echo passed\n"
                "  berth submit --array 1-100 --wait -- render --frame {}\n"
                "  berth submit --each-line addresses --key may -- send-mail {}\n",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .operands_max = BERTH_ARGS_OPERANDS_MAX,
    .run = run,
};
