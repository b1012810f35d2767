/* SPDX-License-Identifier: MIT */
/* berth explain: why a job waits, or the jobs of a dispatcher do. */
#include <berth/explain.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limit.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/print.h"

struct explain_opts {
    const char *dispatcher;
};

static const struct berth_setting explain_settings[] = {
    { .name = "dispatcher",
      .letter = 'd',
      .type = BERTH_SETTING_NAME,
      .offset = offsetof(struct explain_opts, dispatcher),
      .value = "NAME",
      .help = "all jobs of this dispatcher, instead of one" },
};

/* ---- JSON ---- */

static void count_or_null(struct json *json, const char *key, uint64_t count)
{
    if (count > 0)
        json_u64(json, key, count);
    else
        json_null(json, key);
}

static void id_or_null(struct json *json, const char *key, berth_job_id id)
{
    count_or_null(json, key, id.v);
}

/* A limit of 0 is one, too: where slots or places of a group are missing, both numbers count. */
static bool is_counted(const struct berth_cause *cause)
{
    return cause->limit > 0 || cause->in_use > 0 || strcmp(cause->kind, "slots") == 0 ||
           strcmp(cause->kind, "group") == 0;
}

static void cause_json(struct json *json, const struct berth_cause *cause)
{
    json_text(json, "kind", cause->kind);
    json_text(json, "reason", cause->reason);
    json_u64(json, "count", cause->count);
    id_or_null(json, "job", cause->job);
    json_text_or_null(json, "at", cause->at);
    json_text_or_null(json, "group", cause->group);
    json_text_or_null(json, "handler", cause->handler);
    json_text_or_null(json, "worker", cause->worker);
    if (is_counted(cause)) {
        json_u64(json, "in_use", cause->in_use);
        json_u64(json, "limit", cause->limit);
    } else {
        json_null(json, "in_use");
        json_null(json, "limit");
    }
    json_time(json, "since", cause->since_unix_us);
    json_time(json, "next_at", cause->next_unix_us);
    id_or_null(json, "awaited", cause->awaited);
}

static void limit_json(struct json *json, const struct berth_limit_in_force *limit)
{
    char rate[BERTH_RATE_TEXT_MAX];
    json_text(json, "name", limit->name);
    if (limit->has_limit)
        json_u64(json, "limit", limit->limit);
    else
        json_null(json, "limit");
    json_u64(json, "in_use", limit->in_use);
    json_bool(json, "paused", limit->is_paused);
    json_text_or_null(json, "rate",
                      limit->rate_count ? berth_rate_format(limit->rate_count, limit->rate_ms, rate)
                                        : "");
    json_i64(json, "token_wait_ms", limit->token_wait_ms);
    count_or_null(json, "group_limit", limit->group_limit);
    count_or_null(json, "max_queued", limit->max_queued);
    json_u64(json, "queued", limit->queued);
}

static void holders_json(struct json *json, const struct berth_explanation *why)
{
    json_array_begin(json, "holders");
    for (size_t i = 0; i < why->holders_count; i++) {
        const struct berth_slot_holder *holder = &why->holders[i];
        json_object_begin(json, NULL);
        json_u64(json, "job", holder->job.v);
        json_u64(json, "attempt", holder->attempt);
        json_text_or_null(json, "dispatcher", holder->dispatcher);
        json_text(json, "worker", holder->worker);
        json_time(json, "since", holder->since_unix_us);
        json_bool(json, "held", holder->is_held);
        json_object_end(json);
    }
    json_array_end(json);
    json_u64(json, "holders_total", why->holders_sum);
}

static void groups_json(struct json *json, const struct berth_explanation *why)
{
    json_array_begin(json, "full_groups");
    for (size_t i = 0; i < why->groups_count; i++) {
        json_object_begin(json, NULL);
        json_text(json, "name", why->groups[i].name);
        json_u64(json, "in_use", why->groups[i].in_use);
        json_object_end(json);
    }
    json_array_end(json);
    json_u64(json, "full_groups_total", why->groups_sum);
}

static void print_json(const struct berth_explanation *why)
{
    struct json json;
    json_init(&json, stdout);
    json_document_begin(&json, "berth.explanation/1");
    id_or_null(&json, "id", why->id);
    json_text_or_null(&json, "dispatcher", why->dispatcher);
    json_text_or_null(&json, "state", why->id.v ? berth_state_name(why->state) : "");
    json_array_begin(&json, "causes");
    for (size_t i = 0; i < why->causes_count; i++) {
        json_object_begin(&json, NULL);
        cause_json(&json, &why->causes[i]);
        json_object_end(&json);
    }
    json_array_end(&json);
    json_u64(&json, "more", why->more);
    json_array_begin(&json, "limits");
    for (size_t i = 0; i < why->limits_count; i++) {
        json_object_begin(&json, NULL);
        limit_json(&json, &why->limits[i]);
        json_object_end(&json);
    }
    json_array_end(&json);
    holders_json(&json, why);
    groups_json(&json, why);
    json_document_end(&json);
}

/* ---- for people ---- */

/* "3m", or "-". */
static const char *ago(int64_t unix_us, char *text)
{
    int64_t ms = (berth_clock_wall_us() - unix_us) / 1000;
    return unix_us ? berth_duration_format(ms > 0 ? ms : 0, text) : "-";
}

static const char *ahead(int64_t unix_us, char *text)
{
    int64_t ms = (unix_us - berth_clock_wall_us()) / 1000;
    return unix_us ? berth_duration_format(ms > 0 ? ms : 0, text) : "-";
}

/* Whether what is shown is the job's own attempt. */
static bool is_own(const struct berth_explanation *why)
{
    return why->id.v && why->holders_sum == 1 && why->holders[0].job.v == why->id.v;
}

static int print_holders(const struct berth_explanation *why)
{
    static const char *const heads[] = { ">JOB", ">ATTEMPT", "DISPATCHER", "WORKER", ">FOR", "" };
    char text[BERTH_DURATION_TEXT_MAX];
    if (why->holders_count == 0)
        return 0;
    (void)printf(is_own(why) ? "attempt:\n" : "held by:\n");
    struct print_table *table = print_table_new(heads, sizeof heads / sizeof heads[0]);
    if (!table)
        return -ENOMEM;
    for (size_t i = 0; i < why->holders_count; i++) {
        const struct berth_slot_holder *holder = &why->holders[i];
        print_cell(table, "%" PRIu64, holder->job.v);
        print_cell(table, "%" PRIu32, holder->attempt);
        print_cell(table, "%s", holder->dispatcher);
        print_cell(table, "%s", holder->worker);
        print_cell(table, "%s", ago(holder->since_unix_us, text));
        print_cell(table, "%s", holder->is_held ? "lost, held" : "");
    }
    int rc = print_table(table, stdout);
    print_table_free(table);
    if (why->holders_sum > why->holders_count)
        (void)printf("and %" PRIu64 " more\n", why->holders_sum - why->holders_count);
    return rc;
}

static int print_limits(const struct berth_explanation *why)
{
    static const char *const heads[] = { "LIMITS OF", ">LIMIT", ">IN USE", "RATE", ">QUEUED", "" };
    char rate[BERTH_RATE_TEXT_MAX];
    struct print_table *table = print_table_new(heads, sizeof heads / sizeof heads[0]);
    if (!table)
        return -ENOMEM;
    for (size_t i = 0; i < why->limits_count; i++) {
        const struct berth_limit_in_force *limit = &why->limits[i];
        print_cell(table, "%s", limit->name);
        if (limit->has_limit)
            print_cell(table, "%" PRIu64, limit->limit);
        else
            print_cell(table, "unlimited");
        print_cell(table, "%" PRIu64, limit->in_use);
        print_cell(table, "%s",
                   limit->rate_count ? berth_rate_format(limit->rate_count, limit->rate_ms, rate)
                                     : "-");
        print_cell(table, "%" PRIu64, limit->queued);
        print_cell(table, "%s", limit->is_paused ? "paused" : "");
    }
    int rc = print_table(table, stdout);
    print_table_free(table);
    return rc;
}

static int print_causes(const struct berth_explanation *why)
{
    static const char *const heads[] = {
        ">JOBS", "KIND", ">FOR", ">NEXT IN", ">EXAMPLE", "REASON"
    };
    char since[BERTH_DURATION_TEXT_MAX], next[BERTH_DURATION_TEXT_MAX];
    struct print_table *table = print_table_new(heads, sizeof heads / sizeof heads[0]);
    if (!table)
        return -ENOMEM;
    for (size_t i = 0; i < why->causes_count; i++) {
        const struct berth_cause *cause = &why->causes[i];
        print_cell(table, "%" PRIu64, cause->count);
        print_cell(table, "%s", cause->kind);
        print_cell(table, "%s", ago(cause->since_unix_us, since));
        print_cell(table, "%s", ahead(cause->next_unix_us, next));
        print_cell(table, "%" PRIu64, cause->job.v);
        print_cell(table, "%s", cause->reason);
    }
    int rc = why->causes_count > 0 ? print_table(table, stdout) : 0;
    print_table_free(table);
    if (why->more > 0)
        (void)printf("and %" PRIu64 " jobs more\n", why->more);
    return rc;
}

static void print_groups(const struct berth_explanation *why)
{
    for (size_t i = 0; i < why->groups_count; i++)
        (void)printf("%s%s (%" PRIu64 ")", i > 0 ? ", " : "full groups: ", why->groups[i].name,
                     why->groups[i].in_use);
    if (why->groups_sum > why->groups_count)
        (void)printf(" and %" PRIu64 " more", why->groups_sum - why->groups_count);
    if (why->groups_count > 0)
        (void)printf("\n");
}

static int print_dispatcher(const struct berth_explanation *why)
{
    if (why->causes_count == 0)
        (void)printf("no job of %s waits\n", why->dispatcher);
    int rc = print_causes(why);
    if (rc == 0)
        rc = print_limits(why);
    print_groups(why);
    return rc == 0 ? print_holders(why) : rc;
}

static int print_job(const struct berth_explanation *why)
{
    char text[BERTH_DURATION_TEXT_MAX];
    const char *state = berth_state_name(why->state);
    (void)printf("job %" PRIu64 " is %s", why->id.v, state);
    if (why->causes_count > 0)
        (void)printf(": %s", why->causes[0].reason);
    (void)printf("\n");
    if (why->causes_count > 0 && why->causes[0].since_unix_us)
        (void)printf("for %s\n", ago(why->causes[0].since_unix_us, text));
    if (why->causes_count > 0 && why->causes[0].next_unix_us)
        (void)printf("may go on in %s\n", ahead(why->causes[0].next_unix_us, text));
    int rc = print_holders(why);
    return rc == 0 && why->limits_count > 0 ? print_limits(why) : rc;
}

static int write_explanation(const struct cli *cli, const struct berth_explanation *why)
{
    if (cli->opts.is_json) {
        print_json(why);
        return 0;
    }
    if (!cli->opts.is_quiet)
        return why->id.v ? print_job(why) : print_dispatcher(why);
    for (size_t i = 0; i < why->causes_count; i++)
        (void)printf("%s\n", why->causes[i].kind);
    return 0;
}

/* An id or a dispatcher, and never both. */
static int check(struct cli *cli, const struct explain_opts *opts, berth_job_id *ret_id)
{
    bool has_id = cli->args->operands_count > 0;
    if (has_id == (opts->dispatcher != NULL))
        return berth_fail(&cli->err, BERTH_EUSAGE,
                          "one of the two is wanted: the id of a job, or --dispatcher");
    return has_id ? cli_id(cli, cli->args->operands[0], ret_id) : 0;
}

static int run_explain(void *context)
{
    struct cli *cli = context;
    struct explain_opts opts = { .dispatcher = NULL };
    struct berth_explanation *why;
    berth_job_id id = { 0 };
    int rc = cli_begin(cli, &opts);
    if (rc == 0)
        rc = check(cli, &opts, &id);
    if (rc == 0)
        rc = cli_connect(cli, 0);
    int64_t timeout_ms = cli->opts.connect_timeout_ms;
    if (rc == 0)
        rc = opts.dispatcher ? berth_dispatcher_explain(cli->client, opts.dispatcher, &why,
                                                        timeout_ms, &cli->err)
                             : berth_job_explain(cli->client, id, &why, timeout_ms, &cli->err);
    if (rc < 0)
        return cli_fail(cli, rc);
    rc = write_explanation(cli, why);
    berth_explanation_free(why);
    return rc < 0 ? cli_fail(cli, rc) : CLI_OK;
}

const struct berth_command cmd_explain = {
    .name = "explain",
    .operands = "[ID]",
    .summary = "say why a job waits, or the jobs of a dispatcher do",
    .examples =
        "  berth explain 17\n"
        "  berth explain -d newsletter\n"
        "  berth explain -d newsletter --json | jq -r '.causes[] | \"\\(.count) \\(.kind)\"'\n",
    .settings = explain_settings,
    .settings_count = sizeof explain_settings / sizeof explain_settings[0],
    .operands_max = 1,
    .run = run_explain,
};
