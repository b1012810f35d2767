/* SPDX-License-Identifier: MIT */
/* berth retry, discard: dead letters, by their ids or all of a dispatcher. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/json.h"

struct dead_opts {
    const char *dispatcher;
};

static const struct berth_setting dead_settings[] = {
    { .name = "dispatcher",
      .letter = 'd',
      .type = BERTH_SETTING_NAME,
      .offset = offsetof(struct dead_opts, dispatcher),
      .value = "NAME",
      .help = "all dead jobs of this dispatcher, instead of ids" },
};

/* What is done to one, and to all. */
struct verb {
    const char *schema, *none;
    int (*one)(struct berth_client *client, berth_job_id id, int64_t timeout_ms,
               struct berth_error *err);
    int (*all)(struct berth_client *client, const char *dispatcher,
               int (*each)(void *arg, const struct berth_job_outcome *outcome), void *arg,
               uint64_t *ret_count, int64_t timeout_ms, struct berth_error *err);
};

/* A list of them while it is written. */
struct outcomes {
    struct cli *cli;
    struct json json;
    int code; /* of the first one that was not done */
};

static int write_outcome(void *arg, const struct berth_job_outcome *outcome)
{
    struct outcomes *outcomes = arg;
    struct cli *cli = outcomes->cli;
    if (cli->opts.is_json) {
        json_object_begin(&outcomes->json, NULL);
        json_u64(&outcomes->json, "id", outcome->id.v);
        json_text_or_null(&outcomes->json, "error", outcome->message);
        json_object_end(&outcomes->json);
    } else if (outcome->rc == 0) {
        (void)printf("%" PRIu64 "\n", outcome->id.v);
    }
    if (outcome->rc == 0)
        return 0;
    (void)fprintf(stderr, "berth: %s\n", outcome->message);
    if (outcomes->code == CLI_OK)
        outcomes->code = cli_exit_of(outcome->rc);
    return 0;
}

/* An id after the other. A broker that is not there ends it. */
static int change_ids(struct cli *cli, const struct verb *verb, struct outcomes *outcomes)
{
    for (size_t i = 0; i < cli->args->operands_count; i++) {
        berth_job_id id;
        (void)cli_id(cli, cli->args->operands[i], &id);
        int rc = verb->one(cli->client, id, cli->opts.connect_timeout_ms, &cli->err);
        (void)write_outcome(outcomes,
                            &(struct berth_job_outcome){
                                .id = id, .rc = rc, .message = rc < 0 ? cli->err.message : "" });
        if (rc < 0 && cli_exit_of(rc) == CLI_UNREACHABLE)
            return CLI_UNREACHABLE;
    }
    return outcomes->code;
}

static int change_all(struct cli *cli, const struct verb *verb, const char *dispatcher,
                      struct outcomes *outcomes)
{
    uint64_t count;
    int rc = verb->all(cli->client, dispatcher, write_outcome, outcomes, &count, CLI_ALL_TIMEOUT_MS,
                       &cli->err);
    if (rc < 0)
        return cli_fail(cli, rc);
    if (count == 0 && outcomes->code == CLI_OK)
        cli_remark(cli, verb->none);
    return outcomes->code;
}

static int check(struct cli *cli, const struct dead_opts *opts)
{
    berth_job_id id;
    bool has_ids = cli->args->operands_count > 0;
    if (has_ids == (opts->dispatcher != NULL))
        return berth_fail(&cli->err, BERTH_EUSAGE,
                          "one of the two is wanted: ids of jobs, or --dispatcher for all that are "
                          "dead there");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < cli->args->operands_count; i++)
        rc = cli_id(cli, cli->args->operands[i], &id);
    return rc;
}

static int run(struct cli *cli, const struct verb *verb)
{
    struct dead_opts opts = { .dispatcher = NULL };
    int rc = cli_begin(cli, &opts);
    if (rc == 0)
        rc = check(cli, &opts);
    if (rc == 0)
        rc = cli_connect(cli, opts.dispatcher ? cli->opts.connect_timeout_ms : 0);
    if (rc < 0)
        return cli_fail(cli, rc);
    struct outcomes outcomes = { .cli = cli, .code = CLI_OK };
    json_init(&outcomes.json, stdout);
    if (cli->opts.is_json)
        json_list_begin(&outcomes.json, verb->schema);
    int code = opts.dispatcher ? change_all(cli, verb, opts.dispatcher, &outcomes)
                               : change_ids(cli, verb, &outcomes);
    if (cli->opts.is_json)
        json_list_end(&outcomes.json, 0, code == CLI_OK ? 0 : -1);
    return code;
}

static int run_retry(void *context)
{
    static const struct verb verb = { "berth.retried/1", "no job is dead there", berth_job_retry,
                                      berth_job_retry_dead };
    return run(context, &verb);
}

static int run_discard(void *context)
{
    static const struct verb verb = { "berth.discarded/1", "no job is dead there",
                                      berth_job_discard, berth_job_discard_dead };
    return run(context, &verb);
}

const struct berth_command cmd_retry = {
    .name = "retry",
    .operands = "[ID...]",
    .summary = "run dead or cancelled jobs again, with fresh tries",
    .examples = "  berth retry 17\n"
                "  berth retry -d newsletter\n"
                "  berth ls -q --state cancelled | xargs berth retry\n",
    .settings = dead_settings,
    .settings_count = sizeof dead_settings / sizeof dead_settings[0],
    .operands_max = BERTH_ARGS_OPERANDS_MAX,
    .run = run_retry,
};

const struct berth_command cmd_discard = {
    .name = "discard",
    .operands = "[ID...]",
    .summary = "forget dead jobs",
    .examples = "  berth discard 17\n"
                "  berth discard -d newsletter\n",
    .settings = dead_settings,
    .settings_count = sizeof dead_settings / sizeof dead_settings[0],
    .operands_max = BERTH_ARGS_OPERANDS_MAX,
    .run = run_discard,
};
