/* SPDX-License-Identifier: MIT */
/* berth submit: one job from the command line, or one for each index or line. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
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

struct submit_opts {
    const char *dispatcher, *handler, *payload, *payload_file, *key;
    uint64_t max_attempts;
    int64_t timeout_ms;
    bool is_waiting;
    const char *array, *each_line;
    const char *ignored;
};

static int check_array(const char *what, const char *text, struct berth_error *err)
{
    struct expand_array array;
    return expand_array_parse(what, text, &array, err);
}

#define LATER(name_, value_)                                                                       \
    {                                                                                              \
        .name = (name_), .type = BERTH_SETTING_TEXT,                                               \
        .offset = offsetof(struct submit_opts, ignored), .value = (value_), .check = cli_not_yet   \
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
    { .name = "timeout",
      .type = BERTH_SETTING_DURATION,
      .offset = offsetof(struct submit_opts, timeout_ms),
      .min = 1,
      .max = CLI_DURATION_MS_MAX,
      .value = "TIME",
      .help = "of one attempt (default: the dispatcher's)" },
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
    LATER("group", "GROUP"),
    LATER("delay", "TIME"),
    LATER("at", "TIME"),
    LATER("priority", "N"),
    LATER("queue_timeout", "TIME"),
    LATER("deadline", "TIME"),
    LATER("context", "KEY=VALUE"),
    LATER("after", "ID[,ID]"),
    LATER("unique", "KEY"),
    LATER("on_conflict", "reject|existing"),
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
    return check_many(opts);
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
                                     struct berth_slice payload)
{
    return (struct berth_job_spec){ .dispatcher = opts->dispatcher,
                                    .handler = opts->handler,
                                    .command = opts->handler ? NULL : cli->args->operands,
                                    .payload = payload,
                                    .idempotency_key = opts->key,
                                    .timeout_ms = opts->timeout_ms,
                                    .max_attempts = (uint32_t)opts->max_attempts };
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
    struct berth_job_spec spec = spec_of(
        cli, &opts, opts.payload_file ? berth_buf_slice(&file) : berth_slice_of(opts.payload));
    if (code == CLI_OK)
        code = opts.array       ? submit_array(cli, &opts, &spec)
               : opts.each_line ? submit_lines(cli, &opts, &spec)
                                : submit(cli, &spec, opts.is_waiting);
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
                "  berth submit --wait -- make test && echo passed\n"
                "  berth submit --array 1-100 --wait -- render --frame {}\n"
                "  berth submit --each-line addresses --key may -- send-mail {}\n",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .operands_max = BERTH_ARGS_OPERANDS_MAX,
    .run = run,
};
