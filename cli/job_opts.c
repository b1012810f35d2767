/* SPDX-License-Identifier: MIT */
#include "cli/job_opts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

/* In the order of enum berth_unique_conflict. */
const char *const job_conflicts[] = { "reject", "existing", NULL };

int job_context_check(const char *what, const char *text, struct berth_error *err)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return berth_fail(err, BERTH_EVALUE, "%s: '%.60s' is not allowed; KEY=VALUE is wanted",
                          what, text);
    return 0;
}

static size_t command_words(const struct berth_args *args)
{
    return args->operands_count - args->rest_index;
}

/* By name: a value may be the one that is meant by default, too. */
bool job_opts_are_given(const struct berth_args *args)
{
    struct target {
        struct job_opts job;
    };
    static const struct berth_setting settings[] = { JOB_SETTINGS(struct target, job) };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (berth_args_find(args, settings[i].name))
            return true;
    return command_words(args) > 0;
}

static int check_command(const struct berth_args *args, const struct job_opts *opts)
{
    if (opts->handler && command_words(args) > 0)
        return cli_usage("--handler and a command: a job has one of the two");
    if (!opts->handler && command_words(args) == 0)
        return cli_usage(args->has_rest ? "the command behind '--' is missing"
                                        : "a command is wanted, behind '--', or --handler NAME");
    if (!opts->handler && args->operands[args->rest_index][0] == '\0')
        return cli_usage("the command behind '--' is empty");
    return CLI_OK;
}

static int say_backoff(int64_t ms, int64_t ms_max)
{
    char text[BERTH_DURATION_TEXT_MAX], text_max[BERTH_DURATION_TEXT_MAX];
    return cli_usage("--backoff: '%s' is longer than --backoff-max, which is %s",
                     berth_duration_format(ms, text), berth_duration_format(ms_max, text_max));
}

int job_opts_check(const struct berth_args *args, const struct job_opts *opts)
{
    int code = check_command(args, opts);
    if (code != CLI_OK)
        return code;
    if (opts->payload && opts->payload_file)
        return cli_usage("--payload and --payload-file: a job has one payload");
    if (opts->payload && strlen(opts->payload) > BERTH_PAYLOAD_BYTES_MAX)
        return cli_usage("--payload has %zu bytes, allowed is 1MiB", strlen(opts->payload));
    if (berth_args_find(args, "on_conflict") && !opts->unique)
        return cli_usage("--on-conflict is for a job with --unique");
    if (opts->backoff_ms_max && opts->backoff_ms > opts->backoff_ms_max)
        return say_backoff(opts->backoff_ms, opts->backoff_ms_max);
    return CLI_OK;
}

/* All was checked already, so that only memory can be missing. */
static int take_context(const struct job_opts *opts, struct job_parts *parts)
{
    for (size_t i = 0; i < opts->context.count; i++) {
        const char *item = opts->context.items[i], *equals = strchr(item, '=');
        parts->keys[i] = strndup(item, (size_t)(equals - item));
        if (!parts->keys[i])
            return -ENOMEM;
        parts->context[i] = (struct berth_field){ .key = parts->keys[i], .value = equals + 1 };
    }
    return 0;
}

int job_read_file(struct cli *cli, const char *option, const char *path, const char *size_max,
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

int job_opts_spec(struct cli *cli, const struct job_opts *opts, struct job_parts *parts,
                  struct berth_job_spec *ret_spec)
{
    int code = CLI_OK;
    berth_buf_init(&parts->payload, BERTH_PAYLOAD_BYTES_MAX);
    if (opts->payload_file)
        code = job_read_file(cli, "--payload-file", opts->payload_file, "1MiB", &parts->payload);
    if (take_context(opts, parts) < 0)
        code = cli_fail(cli, berth_fail(&cli->err, -ENOMEM, "submit the job"));
    *ret_spec = (struct berth_job_spec){
        .dispatcher = opts->dispatcher,
        .handler = opts->handler,
        .command = opts->handler ? NULL : cli->args->operands + cli->args->rest_index,
        .payload =
            opts->payload_file ? berth_buf_slice(&parts->payload) : berth_slice_of(opts->payload),
        .context = parts->context,
        .context_count = opts->context.count,
        .timeout_ms = opts->timeout_ms,
        .max_attempts = (uint32_t)opts->max_attempts,
        .priority = (int32_t)opts->priority,
        .delay_ms = opts->delay_ms,
        .group = opts->group,
        .queue_timeout_ms = opts->queue_timeout_ms,
        .deadline_ms = opts->deadline_ms,
        .backoff_ms = opts->backoff_ms,
        .backoff_ms_max = opts->backoff_ms_max,
        .unique = opts->unique,
        .on_conflict = (enum berth_unique_conflict)opts->on_conflict,
    };
    return code;
}

void job_parts_fini(struct job_parts *parts)
{
    for (size_t i = 0; i < BERTH_TEXT_LIST_MAX; i++)
        free(parts->keys[i]);
    berth_buf_fini(&parts->payload);
}
