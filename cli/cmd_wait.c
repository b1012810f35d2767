/* SPDX-License-Identifier: MIT */
/* berth wait: until jobs have ended. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/wait.h"

#define LOOK_MS_MAX 1000

struct wait_opts {
    int64_t timeout_ms;
};

static const struct berth_setting settings[] = {
    { .name = "timeout",
      .type = BERTH_SETTING_DURATION,
      .offset = offsetof(struct wait_opts, timeout_ms),
      .min = 0,
      .max = CLI_DURATION_MS_MAX,
      .value = "TIME",
      .help = "end with 124 after TIME (default: wait for ever)" },
};

/* How each end is said. */
struct told {
    const struct cli_opts *opts;
    struct json json;
};

static void say_end(void *arg, berth_job_id id, enum berth_state state)
{
    struct told *told = arg;
    if (told->opts->is_json) {
        json_object_begin(&told->json, NULL);
        json_u64(&told->json, "id", id.v);
        json_text(&told->json, "state", berth_state_name(state));
        json_object_end(&told->json);
    } else if (told->opts->is_quiet) {
        (void)printf("%" PRIu64 "\n", id.v);
    } else {
        (void)printf("%" PRIu64 " %s\n", id.v, berth_state_name(state));
    }
    (void)fflush(stdout);
}

/* A short time may be over before the broker has said which jobs had ended already, and those
 * count. The answer to that may take as long as that of any command. */
static int wait_or_look(struct cli *cli, struct wait *wait, int64_t timeout_ms)
{
    int rc = wait_run(wait, cli->client, cli_wants_bar(cli, wait->count), timeout_ms, &cli->err);
    if (rc != -ETIMEDOUT || timeout_ms >= LOOK_MS_MAX)
        return rc;
    int look_rc = wait_look(wait, cli->client, cli->opts.connect_timeout_ms, &cli->err);
    if (look_rc == BERTH_ENOTFOUND)
        return look_rc;
    return wait->ended == wait->count ? 0 : rc;
}

static int wait_for(struct cli *cli, struct wait *wait, int64_t timeout_ms)
{
    struct told told = { .opts = &cli->opts };
    wait->say = say_end;
    wait->arg = &told;
    json_init(&told.json, stdout);
    if (cli->opts.is_json) {
        json_document_begin(&told.json, "berth.waited/1");
        json_array_begin(&told.json, "items");
    }
    int rc = wait_or_look(cli, wait, timeout_ms);
    if (cli->opts.is_json) {
        json_array_end(&told.json);
        json_null(&told.json, "next");
        json_document_end(&told.json);
    }
    if (rc == -ETIMEDOUT) {
        (void)fprintf(stderr, "berth: time is over: %zu of %zu jobs have ended\n", wait->ended,
                      wait->count);
        return CLI_TIMED_OUT;
    }
    return rc < 0 ? cli_fail(cli, rc) : wait_exit(wait);
}

static int run(void *context)
{
    struct cli *cli = context;
    struct wait_opts opts = { .timeout_ms = INT64_MAX };
    int rc = cli_begin(cli, &opts);
    size_t count = cli->args->operands_count;
    BERTH_AUTO_MEM berth_job_id *ids = calloc(count, sizeof *ids);
    if (rc == 0 && !ids)
        rc = berth_fail(&cli->err, -ENOMEM, "wait for %zu jobs", count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = cli_id(cli, cli->args->operands[i], &ids[i]);
    if (rc == 0)
        rc = cli_connect(cli, CLI_PATIENCE_MS);
    if (rc < 0)
        return cli_fail(cli, rc);
    struct wait wait;
    rc = wait_init(&wait, ids, count, &cli->err);
    int code = rc < 0 ? cli_fail(cli, rc) : wait_for(cli, &wait, opts.timeout_ms);
    wait_fini(&wait);
    return code;
}

const struct berth_command cmd_wait = {
    .name = "wait",
    .operands = "ID...",
    .summary = "wait until jobs have ended, and say how",
    .examples = "  berth wait 17\n"
                "  berth wait 17 18 19 --timeout 5m\n"
                "  berth ls -q -d newsletter --state running | xargs berth wait\n",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .operands_min = 1,
    .operands_max = BERTH_ARGS_OPERANDS_MAX,
    .run = run,
};
