/* SPDX-License-Identifier: MIT */
/* berth dispatcher purge, rm. */
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/json.h"

struct purge_opts {
    bool is_sure;
};

static const struct berth_setting purge_settings[] = {
    { .name = "yes",
      .type = BERTH_SETTING_FLAG,
      .offset = offsetof(struct purge_opts, is_sure),
      .help = "cancel them all, without asking" },
};

static int begin(struct cli *cli, void *opts, const char **ret_name)
{
    int rc = cli_begin(cli, opts);
    if (rc == 0)
        rc = berth_name_check("dispatcher", cli->args->operands[0], &cli->err);
    if (rc == 0)
        *ret_name = cli->args->operands[0];
    return rc;
}

static void write_purged(const struct cli *cli, const char *name, uint64_t count)
{
    if (cli->opts.is_json) {
        struct json json;
        json_init(&json, stdout);
        json_document_begin(&json, "berth.purged/1");
        json_text(&json, "name", name);
        json_u64(&json, "cancelled", count);
        json_document_end(&json);
    } else if (cli->opts.is_quiet) {
        (void)printf("%" PRIu64 "\n", count);
    } else {
        (void)printf("%" PRIu64 " job%s of %s cancelled\n", count, count == 1 ? "" : "s", name);
    }
}

static int run_purge(void *context)
{
    struct cli *cli = context;
    struct purge_opts opts = { .is_sure = false };
    const char *name = NULL; /* gcc 12 does not see that it is written */
    int rc = begin(cli, &opts, &name);
    if (rc < 0)
        return cli_fail(cli, rc);
    if (!opts.is_sure)
        return cli_usage(
            "all jobs of dispatcher %s that wait would be cancelled, for good; if that "
            "is what you want, say --yes",
            name);
    uint64_t count = 0;
    rc = cli_connect(cli, cli->opts.connect_timeout_ms);
    if (rc == 0)
        rc = berth_dispatcher_purge(cli->client, name, &count, CLI_ALL_TIMEOUT_MS, &cli->err);
    if (rc == 0 || count > 0)
        write_purged(cli, name, count);
    return rc < 0 ? cli_fail(cli, rc) : CLI_OK;
}

static int run_rm(void *context)
{
    struct cli *cli = context;
    const char *name = NULL; /* gcc 12 does not see that it is written */
    int rc = begin(cli, NULL, &name);
    if (rc == 0)
        rc = cli_connect(cli, 0);
    if (rc == 0)
        rc = berth_dispatcher_remove(cli->client, name, cli->opts.connect_timeout_ms, &cli->err);
    if (rc < 0)
        return cli_fail(cli, rc);
    if (cli->opts.is_json)
        json_removed(stdout, name);
    return CLI_OK;
}

const struct berth_command cmd_dispatcher_purge = {
    .name = "dispatcher purge",
    .operands = "DISPATCHER",
    .summary = "cancel all its jobs that wait",
    .examples = "  berth dispatcher purge newsletter --yes\n",
    .settings = purge_settings,
    .settings_count = sizeof purge_settings / sizeof purge_settings[0],
    .operands_min = 1,
    .operands_max = 1,
    .run = run_purge,
};

const struct berth_command cmd_dispatcher_rm = {
    .name = "dispatcher rm",
    .operands = "DISPATCHER",
    .summary = "remove a dispatcher that has no live jobs, with its ended ones",
    .examples = "  berth dispatcher rm newsletter\n",
    .operands_min = 1,
    .operands_max = 1,
    .run = run_rm,
};
