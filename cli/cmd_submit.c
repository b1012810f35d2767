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
#include "cli/job_opts.h"
#include "cli/json.h"
#include "cli/many.h"
#include "cli/print.h"
#include "cli/wait.h"

#define ID_TEXT_MAX 24
#define TIME_US_MAX INT64_C(253402300799999999) /* the end of the year 9999 */

struct submit_opts {
    struct job_opts job;
    const char *key, *at, *after;
    bool is_waiting;
    const char *array, *each_line;
};

/* What the options say in other words. */
struct details {
    struct job_parts job;
    berth_job_id after[BERTH_JOB_AFTER_MAX];
    size_t after_count;
    int64_t run_at_unix_us;
};

static int check_array(const char *what, const char *text, struct berth_error *err)
{
    struct expand_array array;
    return expand_array_parse(what, text, &array, err);
}

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

#define TEXT(name_, type_, member_, value_, help_, check_)                                         \
    {                                                                                              \
        .name = (name_), .type = BERTH_SETTING_##type_,                                            \
        .offset = offsetof(struct submit_opts, member_), .value = (value_), .help = (help_),       \
        .check = (check_)                                                                          \
    }

static const struct berth_setting settings[] = {
    JOB_SETTINGS(struct submit_opts, job),
    TEXT("key", KEY, key, "KEY", "idempotency key: submitting again finds the same job", NULL),
    TEXT("at", TEXT, at, "TIME", "not before this time: 2027-01-31T09:30:00Z", check_time),
    TEXT("after", TEXT, after, "ID[,ID]", "not before these jobs have completed", check_after),
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
    if (opts->job.handler && (opts->array || opts->each_line))
        return cli_usage("%s is for commands: a handler has no arguments",
                         opts->array ? "--array" : "--each-line");
    if (opts->each_line && opts->job.payload_file && strcmp(opts->each_line, "-") == 0 &&
        strcmp(opts->job.payload_file, "-") == 0)
        return cli_usage("--each-line - and --payload-file -: stdin can be read once");
    return CLI_OK;
}

static int check_usage(const struct berth_args *args, const struct submit_opts *opts)
{
    if (args->rest_index > 0)
        return cli_usage("'%.60s': the command stands behind '--': berth submit -- COMMAND",
                         args->operands[0]);
    int code = job_opts_check(args, &opts->job);
    if (code != CLI_OK)
        return code;
    if (opts->job.delay_ms && opts->at)
        return cli_usage("--delay and --at: a job has one of the two");
    return check_many(opts);
}

/* CLI_OK, or says why not. */
static int take_spec(struct cli *cli, const struct submit_opts *opts, struct details *details,
                     struct berth_job_spec *ret_spec)
{
    int code = job_opts_spec(cli, &opts->job, &details->job, ret_spec);
    /* These were checked already. */
    if (opts->at)
        (void)berth_time_parse("--at", opts->at, &details->run_at_unix_us, NULL);
    if (opts->after)
        (void)parse_after("--after", opts->after, details->after, &details->after_count, NULL);
    ret_spec->idempotency_key = opts->key;
    ret_spec->run_at_unix_us = details->run_at_unix_us;
    ret_spec->after = details->after;
    ret_spec->after_count = details->after_count;
    return code;
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
    int code = job_read_file(cli, "--each-line", opts->each_line, "256MiB", &text);
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
    struct submit_opts opts = { .key = NULL };
    int rc = cli_begin(cli, &opts);
    if (rc < 0)
        return cli_fail(cli, rc);
    int code = check_usage(cli->args, &opts);
    if (code != CLI_OK)
        return code;

    struct details details = { .after_count = 0 };
    struct berth_job_spec spec;
    code = take_spec(cli, &opts, &details, &spec);
    if (code == CLI_OK)
        code = opts.array       ? submit_array(cli, &opts, &spec)
               : opts.each_line ? submit_lines(cli, &opts, &spec)
                                : submit(cli, &spec, opts.is_waiting);
    job_parts_fini(&details.job);
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
