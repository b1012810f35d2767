/* SPDX-License-Identifier: MIT */
/* berth logs: what a command has written, and writes. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/print.h"

/* Twice what is ever kept of a stream: the end of one attempt. */
#define KEPT_BYTES_MAX (128u << 10)

struct logs_opts {
    bool is_followed;
};

static const struct berth_setting settings[] = {
    { .name = "follow",
      .letter = 'f',
      .type = BERTH_SETTING_FLAG,
      .offset = offsetof(struct logs_opts, is_followed),
      .help = "go on until the job has ended, and end as `berth wait` does" },
};

/* Where the two streams go. To a terminal without what could play tricks on it, else as they are.
 */
struct sink {
    const struct cli *cli;
    bool is_terminal[2];
    /* With --json: gathered. */
    struct berth_buf text[2];
    bool is_truncated[2];
    uint32_t attempt;
};

static void skip(const struct sink *sink, const struct berth_output *output)
{
    char sentence[100];
    (void)snprintf(sentence, sizeof sentence, "%" PRIu64 " bytes of %s were not kept",
                   output->skipped, output->is_err ? "stderr" : "stdout");
    cli_remark(sink->cli, sentence);
}

static int write_piece(void *arg, const struct berth_output *output)
{
    const struct sink *sink = arg;
    FILE *file = output->is_err ? stderr : stdout;
    if (output->skipped > 0)
        skip(sink, output);
    if (sink->is_terminal[output->is_err])
        print_text(file, output->bytes, true);
    else
        (void)fwrite(output->bytes.data, 1, output->bytes.bytes, file);
    return fflush(file) == 0 ? 0 : -EIO;
}

static int keep_piece(void *arg, const struct berth_output *output)
{
    struct sink *sink = arg;
    struct berth_buf *text = &sink->text[output->is_err];
    if (sink->attempt != output->attempt) {
        berth_buf_clear(&sink->text[0]);
        berth_buf_clear(&sink->text[1]);
        sink->is_truncated[0] = sink->is_truncated[1] = false;
    }
    sink->attempt = output->attempt;
    sink->is_truncated[output->is_err] |= output->skipped > 0;
    return berth_buf_append(text, output->bytes.data, output->bytes.bytes);
}

static void write_json(const struct sink *sink, berth_job_id id, enum berth_state state)
{
    struct json json;
    json_init(&json, stdout);
    json_document_begin(&json, "berth.logs/1");
    json_u64(&json, "id", id.v);
    json_text(&json, "state", berth_state_name(state));
    json_u64(&json, "attempt", sink->attempt);
    json_bytes(&json, "stdout", berth_buf_slice(&sink->text[0]));
    json_bytes(&json, "stderr", berth_buf_slice(&sink->text[1]));
    json_bool(&json, "stdout_truncated", sink->is_truncated[0]);
    json_bool(&json, "stderr_truncated", sink->is_truncated[1]);
    json_document_end(&json);
}

/* As of `wait`. */
static int exit_of(bool is_followed, enum berth_state state)
{
    if (is_followed && state == BERTH_DEAD)
        return CLI_DEAD;
    return is_followed && state == BERTH_CANCELLED ? CLI_CANCELLED : CLI_OK;
}

static int show(struct cli *cli, berth_job_id id, bool is_followed)
{
    struct sink sink = { .cli = cli,
                         .is_terminal = { isatty(STDOUT_FILENO), isatty(STDERR_FILENO) } };
    enum berth_state state = 0;
    for (int i = 0; i < 2; i++)
        berth_buf_init(&sink.text[i], KEPT_BYTES_MAX);
    int rc = berth_job_logs(cli->client, id, is_followed,
                            cli->opts.is_json ? keep_piece : write_piece, &sink, &state,
                            is_followed ? INT64_MAX : cli->opts.connect_timeout_ms, &cli->err);
    if (rc == 0 && cli->opts.is_json)
        write_json(&sink, id, state);
    for (int i = 0; i < 2; i++)
        berth_buf_fini(&sink.text[i]);
    return rc < 0 ? cli_fail(cli, rc) : exit_of(is_followed, state);
}

static int run(void *context)
{
    struct cli *cli = context;
    struct logs_opts opts = { .is_followed = false };
    berth_job_id id;
    int rc = cli_begin(cli, &opts);
    if (rc == 0 && opts.is_followed && cli->opts.is_json)
        return cli_usage("--follow and --json exclude each other: one document is written in the "
                         "end");
    if (rc == 0)
        rc = cli_id(cli, cli->args->operands[0], &id);
    if (rc == 0)
        rc = cli_connect(cli, opts.is_followed ? CLI_PATIENCE_MS : 0);
    return rc < 0 ? cli_fail(cli, rc) : show(cli, id, opts.is_followed);
}

const struct berth_command cmd_logs = {
    .name = "logs",
    .operands = "ID",
    .summary = "show what a command has written, and follow it",
    .examples = "  berth logs 17\n"
                "  berth logs -f 17 && echo completed\n"
                "  berth logs 17 2>/dev/null | tail -n 3\n",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
