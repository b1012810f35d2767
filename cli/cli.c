/* SPDX-License-Identifier: MIT */
/* See cli.h. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"

int cli_exit_of(int rc)
{
    switch (rc) {
    case BERTH_EUSAGE:
    case BERTH_EVALUE:
    case -EMSGSIZE:
    case -E2BIG: return CLI_USAGE;
    case BERTH_ENOTFOUND: return CLI_NOT_FOUND;
    case BERTH_ELIMIT: return CLI_LIMIT;
    case BERTH_EFULL:
    case BERTH_ELATER: return CLI_LATER;
    case BERTH_EUNKNOWN:
    case -ETIMEDOUT:
    case -EHOSTUNREACH: return CLI_UNREACHABLE;
    default: return rc < 0 ? CLI_FAILED : CLI_OK;
    }
}

int cli_fail(struct cli *cli, int rc)
{
    const char *reason = cli->err.code == rc ? cli->err.message : berth_strerror(rc);
    (void)fprintf(stderr, "berth: %s\n", reason);
    return cli_exit_of(rc);
}

int cli_usage(const char *format, ...)
{
    struct berth_error err;
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses sight of va_start */
    (void)vsnprintf(err.message, sizeof err.message, format, args);
    va_end(args);
    (void)fprintf(stderr, "berth: %s\n", err.message);
    return CLI_USAGE;
}

void cli_remark(const struct cli *cli, const char *sentence)
{
    if (!cli->opts.is_json && !cli->opts.is_quiet)
        (void)fprintf(stderr, "berth: %s\n", sentence);
}

int cli_begin(struct cli *cli, void *target)
{
    return berth_args_apply(cli->args, &cli->opts, target, &cli->err);
}

int cli_connect(struct cli *cli, int64_t unreachable_ms)
{
    return berth_client_open(
        &(struct berth_client_opts){ .url = cli->opts.broker, .unreachable_ms = unreachable_ms },
        &cli->client, &cli->err);
}

int cli_id(struct cli *cli, const char *text, berth_job_id *ret_id)
{
    return berth_u64_parse("ID", text, 1, CLI_JOB_ID_MAX, &ret_id->v, &cli->err);
}

/* -q is for silence, and a document that is being written on the same terminal is left alone. */
bool cli_wants_bar(const struct cli *cli, size_t count)
{
    return count > 1 && !cli->opts.is_quiet && !(cli->opts.is_json && isatty(STDOUT_FILENO));
}
