/* SPDX-License-Identifier: MIT */
/* What the commands of `berth` share. It uses the public client library and nothing private, so it
 * shows that the library is enough.
 *
 * stdout is data, stderr is messages. A command returns an exit code of <sysexits.h>'s kind, listed
 * in `enum cli_exit`; one that fails has said why in one line.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <berth/admin.h>
#include <berth/client.h>

#include "base/args.h"

#define CLI_PATIENCE_MS 60000 /* `wait` and `submit --wait` outlive that much without a broker */
/* What goes on part by part, over many jobs, may take its time. */
#define CLI_ALL_TIMEOUT_MS INT64_C(600000)

/* What the broker takes; it would refuse more by itself. */
#define CLI_DURATION_MS_MAX  (INT64_C(3650) * 24 * 60 * 60 * 1000)
#define CLI_MAX_ATTEMPTS_MAX 1000000
#define CLI_JOB_ID_MAX       ((UINT64_C(1) << 53) - 1)

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_DEAD = 3,
    CLI_CANCELLED = 4,
    CLI_NOT_FOUND = 5,
    CLI_LIMIT = 6,
    CLI_UNREACHABLE = 69,
    CLI_LATER = 75,
    CLI_TIMED_OUT = 124,
    CLI_INTERRUPTED = 130,
};

struct cli_opts {
    const char *broker; /* NULL: the client library's default */
    int64_t connect_timeout_ms;
    bool is_json, is_quiet;
};

struct cli {
    struct cli_opts opts;
    const struct berth_args *args;
    struct berth_client *client;
    struct berth_error err;
};

/* Says `rc`'s reason (cli->err) on stderr and returns its exit code. */
int cli_fail(struct cli *cli, int rc);
/* Says a sentence of ours and returns CLI_USAGE. */
int cli_usage(const char *format, ...) BERTH_PRINTF(1, 2);
/* Says a sentence of ours on stderr to a person; nothing with --json or -q. */
void cli_remark(const struct cli *cli, const char *sentence);
/* The exit code that belongs to a result of the client library. */
int cli_exit_of(int rc);

/* Each: 0, or a negative with cli->err. begin reads the command's options into `target` (NULL: it
 * has none); connect opens the client. `unreachable_ms` as in berth_client_opts. */
int cli_begin(struct cli *cli, void *target);
int cli_connect(struct cli *cli, int64_t unreachable_ms);

/* An operand that is a job's id, or a dispatcher's name. */
int cli_id(struct cli *cli, const char *text, berth_job_id *ret_id);

/* One job as JSON, its members without the braces; and for people. */
struct json;
void cli_job_json(struct json *json, const struct berth_job *job);
void cli_job_print(const struct berth_job *job);

/* The commands, one file a noun; main.c makes the table of them. `run` gets a struct cli. */
extern const struct berth_command cmd_up, cmd_submit, cmd_ls, cmd_show, cmd_wait, cmd_logs,
    cmd_cancel, cmd_retry, cmd_discard, cmd_explain, cmd_dispatcher_purge, cmd_dispatcher_rm,
    cmd_dispatcher_ls, cmd_dispatcher_show, cmd_dispatcher_set, cmd_dispatcher_pause,
    cmd_dispatcher_resume, cmd_schedule_ls, cmd_schedule_set, cmd_schedule_pause,
    cmd_schedule_resume, cmd_schedule_rm, cmd_worker_ls, cmd_worker_gone, cmd_broker_status,
    cmd_completion;

/* Whether a bar is to be shown while `count` jobs are waited for, given a terminal. */
bool cli_wants_bar(const struct cli *cli, size_t count);
