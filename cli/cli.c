/* SPDX-License-Identifier: MIT */
/* See cli.h. */
#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define JOB_ID_MAX      ((UINT64_C(1) << 53) - 1)
#define LIMIT_VALUE_MAX 1000000000
#define LIMIT_WANTED    "allowed is a number from 0, unlimited, cores or max(N,cores)"
#define SHOWN_MAX       60

int cli_exit_of(int rc)
{
    switch (rc) {
    case BERTH_EUSAGE:
    case BERTH_EVALUE:
    case -EMSGSIZE:
    case -E2BIG: return CLI_USAGE;
    case BERTH_ENOTFOUND: return CLI_NOT_FOUND;
    case BERTH_EFULL:
    case BERTH_ELIMIT: return CLI_LIMIT;
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
    (void)vsnprintf(err.message, sizeof err.message, format, args);
    va_end(args);
    (void)fprintf(stderr, "berth: %s\n", err.message);
    return CLI_USAGE;
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
    return berth_u64_parse("ID", text, 1, JOB_ID_MAX, &ret_id->v, &cli->err);
}

int cli_not_yet(const char *what, const char *text, struct berth_error *err)
{
    (void)text;
    return berth_fail(err, BERTH_EVALUE, "%s is not there yet: it comes with a later release",
                      what);
}

static int limit_number(const char *what, const char *text, uint32_t *ret_value,
                        struct berth_error *err)
{
    uint64_t value;
    if (berth_u64_parse(what, text, 0, LIMIT_VALUE_MAX, &value, NULL) < 0)
        return berth_fail(err, BERTH_EVALUE, "%s: '%.*s' is no limit; " LIMIT_WANTED, what,
                          SHOWN_MAX, text);
    *ret_value = (uint32_t)value;
    return 0;
}

/* The N of "max(N,cores)"; false: the text is not of that form. */
static bool take_max(const char *text, char number[static CLI_LIMIT_TEXT_MAX])
{
    static const char head[] = "max(", tail[] = ",cores)";
    size_t bytes = strlen(text), around = sizeof head + sizeof tail - 2;
    if (bytes <= around || bytes - around >= CLI_LIMIT_TEXT_MAX)
        return false;
    if (strncmp(text, head, sizeof head - 1) != 0)
        return false;
    if (strcmp(text + bytes - (sizeof tail - 1), tail) != 0)
        return false;
    memcpy(number, text + sizeof head - 1, bytes - around);
    number[bytes - around] = '\0';
    return true;
}

int cli_limit_parse(const char *what, const char *text, struct berth_limit *ret_limit,
                    struct berth_error *err)
{
    char number[CLI_LIMIT_TEXT_MAX];
    struct berth_limit limit = { .kind = BERTH_LIMIT_NUMBER };
    if (strcmp(text, "unlimited") == 0) {
        limit.kind = BERTH_LIMIT_UNLIMITED;
    } else if (strcmp(text, "cores") == 0) {
        limit.kind = BERTH_LIMIT_CORES;
    } else {
        bool is_max = take_max(text, number);
        if (is_max)
            limit.kind = BERTH_LIMIT_MAX_CORES;
        int rc = limit_number(what, is_max ? number : text, &limit.value, err);
        if (rc < 0)
            return rc;
    }
    *ret_limit = limit;
    return 0;
}

const char *cli_limit_format(const struct berth_limit *limit, char text[static CLI_LIMIT_TEXT_MAX])
{
    switch (limit->kind) {
    case BERTH_LIMIT_NUMBER:
        (void)snprintf(text, CLI_LIMIT_TEXT_MAX, "%" PRIu32, limit->value);
        return text;
    case BERTH_LIMIT_MAX_CORES:
        (void)snprintf(text, CLI_LIMIT_TEXT_MAX, "max(%" PRIu32 ",cores)", limit->value);
        return text;
    case BERTH_LIMIT_UNLIMITED: return "unlimited";
    case BERTH_LIMIT_CORES: return "cores";
    }
    return "unknown";
}
