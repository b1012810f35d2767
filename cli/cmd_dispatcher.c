/* SPDX-License-Identifier: MIT */
/* berth dispatcher ls, show, set, pause, resume. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limit.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/list.h"

#define GRACE_MS_MAX        (INT64_C(24) * 60 * 60 * 1000)
#define WEIGHT_MAX          1000
#define BURST_MAX           1000000
#define RETENTION_COUNT_MAX 1000000000

struct set_opts {
    const char *limit;
    uint64_t max_attempts;
    const char *backoff, *backoff_max, *timeout, *grace; /* durations, or "none" */
    const char *queue_timeout, *deadline;
    const char *parent, *rate;                                      /* or "none" */
    const char *group_limit, *burst, *max_queued, *retention_count; /* counts, or "none" */
    uint64_t weight;
    int64_t retention_ms;
    int hold, on_lost, jitter; /* -1: as it is */
};

/* In the order of the library's enums, which count from 1. */
static const char *const holds[] = { "job", "running", NULL };
static const char *const losses[] = { "reclaim", "hold", NULL };
static const char *const jitters[] = { "on", "off", NULL };

static int check_limit(const char *what, const char *text, struct berth_error *err)
{
    struct berth_limit limit;
    return berth_limit_parse(what, text, &limit, err);
}

/* A duration for the settings of a dispatcher, where 0 would leave it as it is. */
static int parse_duration(const char *what, const char *text, int64_t max_ms, int64_t *ret_ms,
                          struct berth_error *err)
{
    if (strcmp(text, "none") == 0) {
        *ret_ms = BERTH_NONE;
        return 0;
    }
    int rc = berth_duration_parse(what, text, 0, max_ms, ret_ms, err);
    if (rc == 0 && *ret_ms == 0)
        *ret_ms = BERTH_NONE;
    return berth_or_none(rc, err);
}

static int check_duration(const char *what, const char *text, struct berth_error *err)
{
    int64_t ms;
    return parse_duration(what, text, CLI_DURATION_MS_MAX, &ms, err);
}

static int check_grace(const char *what, const char *text, struct berth_error *err)
{
    int64_t ms;
    return parse_duration(what, text, GRACE_MS_MAX, &ms, err);
}

static int check_rate(const char *what, const char *text, struct berth_error *err)
{
    uint32_t count;
    int64_t ms;
    return berth_rate_parse(what, text, &count, &ms, err);
}

static int check_parent(const char *what, const char *text, struct berth_error *err)
{
    return berth_or_none(berth_name_check(what, text, err), err); /* "none" is a name, too */
}

/* A count for the settings of a dispatcher, where 0 would leave it as it is. */
static int parse_count(const char *what, const char *text, uint64_t max, int64_t *ret_count,
                       struct berth_error *err)
{
    uint64_t count = 0;
    int rc = strcmp(text, "none") == 0 ? 0 : berth_u64_parse(what, text, 0, max, &count, err);
    if (rc == 0)
        *ret_count = count > 0 ? (int64_t)count : BERTH_NONE;
    return berth_or_none(rc, err);
}

static int check_count(const char *what, const char *text, struct berth_error *err)
{
    int64_t count;
    return parse_count(what, text, BERTH_LIMIT_VALUE_MAX, &count, err);
}

static int check_burst(const char *what, const char *text, struct berth_error *err)
{
    int64_t count;
    return parse_count(what, text, BURST_MAX, &count, err);
}

#define TEXT(name_, member_, value_, help_, check_)                                                \
    {                                                                                              \
        .name = (name_), .type = BERTH_SETTING_TEXT, .offset = offsetof(struct set_opts, member_), \
        .value = (value_), .help = (help_), .check = (check_)                                      \
    }
#define CHOICE(name_, choices_, value_, help_)                                                     \
    {                                                                                              \
        .name = #name_, .type = BERTH_SETTING_CHOICE, .offset = offsetof(struct set_opts, name_),  \
        .choices = (choices_), .value = (value_), .help = (help_)                                  \
    }

static const struct berth_setting set_settings[] = {
    TEXT("limit", limit, "LIMIT", "attempts at once: N, unlimited, cores or max(N,cores)",
         check_limit),
    { .name = "max_attempts",
      .type = BERTH_SETTING_U64,
      .offset = offsetof(struct set_opts, max_attempts),
      .min = 1,
      .max = CLI_MAX_ATTEMPTS_MAX,
      .value = "N",
      .help = "failed attempts before a job is dead (default 5)" },
    TEXT("backoff", backoff, "TIME", "before the second attempt, doubled each time (default 1s)",
         check_duration),
    TEXT("backoff_max", backoff_max, "TIME", "the longest backoff (default 10m)", check_duration),
    TEXT("timeout", timeout, "TIME", "of one attempt (default none)", check_duration),
    TEXT("grace", grace, "TIME", "from SIGTERM to SIGKILL (default 5s)", check_grace),
    TEXT("parent", parent, "NAME", "whose limits hold for it, too (default none)", check_parent),
    { .name = "weight",
      .type = BERTH_SETTING_U64,
      .offset = offsetof(struct set_opts, weight),
      .min = 1,
      .max = WEIGHT_MAX,
      .value = "N",
      .help = "its share of the parent (default 1)" },
    TEXT("group_limit", group_limit, "N", "attempts at once for each group (default none)",
         check_count),
    TEXT("rate", rate, "N/UNIT", "starts in each s, m, h or d: 10/s (default none)", check_rate),
    TEXT("burst", burst, "N", "starts at once after a pause, with a rate (default 1)", check_burst),
    TEXT("max_queued", max_queued, "N", "jobs that wait; more are refused (default none)",
         check_count),
    CHOICE(hold, holds, "job|running", "what a suspended attempt keeps its slot for (default job)"),
    CHOICE(on_lost, losses, "reclaim|hold", "when a worker is lost (default reclaim)"),
    CHOICE(jitter, jitters, "on|off", "draw the backoff from 0 to what it may be (default on)"),
    TEXT("queue_timeout", queue_timeout, "TIME", "of ready jobs that bring none (default none)",
         check_duration),
    TEXT("deadline", deadline, "TIME", "of jobs that bring none (default none)", check_duration),
    { .name = "retention",
      .type = BERTH_SETTING_DURATION,
      .offset = offsetof(struct set_opts, retention_ms),
      .min = 1,
      .max = CLI_DURATION_MS_MAX,
      .value = "TIME",
      .help = "how long ended jobs are kept (default 7d)" },
    TEXT("retention_count", retention_count, "N", "how many of them (default 100000)", check_count),
};

static int64_t oldest_ms(const struct berth_dispatcher *dispatcher)
{
    int64_t ms = (berth_clock_wall_us() - dispatcher->oldest_ready_unix_us) / 1000;
    return ms > 0 ? ms : 0; /* the broker's clock may be ahead of ours */
}

static void limit_json(struct json *json, const struct berth_limit *limit)
{
    char text[BERTH_LIMIT_TEXT_MAX];
    if (limit->kind == BERTH_LIMIT_NUMBER)
        json_u64(json, "limit", limit->value);
    else
        json_text(json, "limit", berth_limit_format(limit, text));
}

/* null: none. */
static void count_json(struct json *json, const char *key, uint32_t count)
{
    if (count > 0)
        json_u64(json, key, count);
    else
        json_null(json, key);
}

static void limits_json(struct json *json, const struct berth_dispatcher *dispatcher)
{
    char rate[BERTH_RATE_TEXT_MAX];
    json_u64(json, "weight", dispatcher->weight);
    count_json(json, "group_limit", dispatcher->group_limit);
    if (dispatcher->rate_count > 0)
        json_text(json, "rate",
                  berth_rate_format(dispatcher->rate_count, dispatcher->rate_ms, rate));
    else
        json_null(json, "rate");
    count_json(json, "burst", dispatcher->burst);
    count_json(json, "max_queued", dispatcher->max_queued);
    json_text(json, "hold", holds[dispatcher->hold - 1]);
    json_text(json, "on_lost", losses[dispatcher->on_lost - 1]);
    json_bool(json, "jitter", dispatcher->jitter != BERTH_JITTER_OFF);
    json_i64(json, "queue_timeout_ms", dispatcher->queue_timeout_ms);
    json_i64(json, "deadline_ms", dispatcher->deadline_ms);
    json_i64(json, "retention_ms", dispatcher->retention_ms);
    json_u64(json, "retention_count", dispatcher->retention_count);
    json_time(json, "changed_at", dispatcher->changed_unix_us);
    json_text_or_null(json, "changed_by", dispatcher->changed_by);
    json_text_or_null(json, "remark", dispatcher->remark);
}

static void dispatcher_json(struct json *json, const void *item)
{
    const struct berth_dispatcher *dispatcher = item;
    json_text(json, "name", dispatcher->name);
    limit_json(json, &dispatcher->limit);
    if (dispatcher->has_effective_limit)
        json_u64(json, "effective_limit", dispatcher->effective_limit);
    else
        json_null(json, "effective_limit");
    json_text_or_null(json, "parent", dispatcher->parent);
    json_bool(json, "paused", dispatcher->is_paused);
    json_u64(json, "running", dispatcher->running);
    json_u64(json, "ready", dispatcher->ready);
    json_u64(json, "scheduled", dispatcher->scheduled);
    json_u64(json, "retrying", dispatcher->retrying);
    json_u64(json, "dead", dispatcher->dead);
    json_u64(json, "completed_total", dispatcher->completed_total);
    if (dispatcher->oldest_ready_unix_us != 0)
        json_i64(json, "oldest_ready_seconds", oldest_ms(dispatcher) / 1000);
    else
        json_null(json, "oldest_ready_seconds");
    json_u64(json, "max_attempts", dispatcher->max_attempts);
    json_i64(json, "backoff_ms", dispatcher->backoff_ms);
    json_i64(json, "backoff_max_ms", dispatcher->backoff_ms_max);
    json_i64(json, "timeout_ms", dispatcher->timeout_ms);
    json_i64(json, "grace_ms", dispatcher->grace_ms);
    limits_json(json, dispatcher);
}

static void print_json(const struct berth_dispatcher *dispatcher)
{
    struct json json;
    json_init(&json, stdout);
    json_document_begin(&json, "berth.dispatcher/1");
    dispatcher_json(&json, dispatcher);
    json_document_end(&json);
}

static void print_duration(const char *name, int64_t ms)
{
    char text[BERTH_DURATION_TEXT_MAX];
    (void)printf("%-16s%s\n", name, ms > 0 ? berth_duration_format(ms, text) : "none");
}

static void print_count(const char *name, uint64_t count)
{
    (void)printf("%-16s%" PRIu64 "\n", name, count);
}

static void print_bound(const char *name, uint32_t count)
{
    if (count > 0)
        print_count(name, count);
    else
        (void)printf("%-16s%s\n", name, "none");
}

static void print_limits(const struct berth_dispatcher *dispatcher)
{
    char rate[BERTH_RATE_TEXT_MAX], time[BERTH_TIME_TEXT_MAX];
    print_count("weight", dispatcher->weight);
    print_bound("group limit", dispatcher->group_limit);
    (void)printf("%-16s%s\n", "rate",
                 berth_rate_format(dispatcher->rate_count, dispatcher->rate_ms, rate));
    if (dispatcher->rate_count > 0)
        print_count("burst", dispatcher->burst > 0 ? dispatcher->burst : 1);
    print_bound("max queued", dispatcher->max_queued);
    (void)printf("%-16s%s\n", "hold", holds[dispatcher->hold - 1]);
    (void)printf("%-16s%s\n", "on lost", losses[dispatcher->on_lost - 1]);
    (void)printf("%-16s%s\n", "jitter", jitters[dispatcher->jitter - 1]);
    print_duration("queue timeout", dispatcher->queue_timeout_ms);
    print_duration("deadline", dispatcher->deadline_ms);
    print_duration("retention", dispatcher->retention_ms);
    print_count("retention count", dispatcher->retention_count);
    if (dispatcher->remark[0] != '\0')
        (void)printf("%-16s%s\n", "remark", dispatcher->remark);
    if (dispatcher->changed_unix_us == 0)
        return;
    (void)printf("%-16s%s", "changed", berth_time_format(dispatcher->changed_unix_us, time));
    if (dispatcher->changed_by[0] != '\0') {
        (void)fputs(" by ", stdout);
        print_text(stdout, berth_slice_of(dispatcher->changed_by), false);
    }
    (void)putchar('\n');
}

static void print_dispatcher(const struct berth_dispatcher *dispatcher)
{
    char limit[BERTH_LIMIT_TEXT_MAX];
    (void)printf("%-16s%s\n", "dispatcher", dispatcher->name);
    (void)printf("%-16s%s\n", "limit", berth_limit_format(&dispatcher->limit, limit));
    if (dispatcher->has_effective_limit)
        print_count("effective limit", dispatcher->effective_limit);
    if (dispatcher->parent[0] != '\0')
        (void)printf("%-16s%s\n", "parent", dispatcher->parent);
    (void)printf("%-16s%s\n", "paused", dispatcher->is_paused ? "yes" : "no");
    print_count("running", dispatcher->running);
    print_count("ready", dispatcher->ready);
    print_count("scheduled", dispatcher->scheduled);
    print_count("retrying", dispatcher->retrying);
    print_count("dead", dispatcher->dead);
    print_count("completed", dispatcher->completed_total);
    if (dispatcher->oldest_ready_unix_us != 0)
        print_duration("oldest ready", oldest_ms(dispatcher));
    print_count("max attempts", dispatcher->max_attempts);
    print_duration("backoff", dispatcher->backoff_ms);
    print_duration("backoff max", dispatcher->backoff_ms_max);
    print_duration("timeout", dispatcher->timeout_ms);
    print_duration("grace", dispatcher->grace_ms);
    print_limits(dispatcher);
}

static int add_row(struct print_table *table, const void *item)
{
    const struct berth_dispatcher *dispatcher = item;
    char limit[BERTH_LIMIT_TEXT_MAX], oldest[BERTH_DURATION_TEXT_MAX];
    print_cell(table, "%s", dispatcher->name);
    print_cell(table, "%s", berth_limit_format(&dispatcher->limit, limit));
    if (dispatcher->has_effective_limit)
        print_cell(table, "%" PRIu32, dispatcher->effective_limit);
    else
        print_cell(table, "-");
    print_cell(table, "%" PRIu64, dispatcher->running);
    print_cell(table, "%" PRIu64, dispatcher->ready);
    print_cell(table, "%" PRIu64, dispatcher->scheduled);
    print_cell(table, "%" PRIu64, dispatcher->retrying);
    print_cell(table, "%" PRIu64, dispatcher->dead);
    print_cell(table, "%" PRIu64, dispatcher->completed_total);
    print_cell(table, "%s",
               dispatcher->oldest_ready_unix_us != 0
                   ? berth_duration_format(oldest_ms(dispatcher), oldest)
                   : "-");
    print_cell(table, "%s", dispatcher->is_paused ? "paused" : "");
    return 0;
}

static int on_dispatcher(void *arg, const struct berth_dispatcher *dispatcher)
{
    return list_add(arg, dispatcher->name, dispatcher);
}

static int each_dispatcher(struct cli *cli, struct list *list)
{
    return berth_dispatcher_list(cli->client, on_dispatcher, list, cli->opts.connect_timeout_ms,
                                 &cli->err);
}

static int run_ls(void *context)
{
    static const char *const heads[] = { "NAME",       "LIMIT",      ">NOW",      ">RUNNING",
                                         ">READY",     ">SCHEDULED", ">RETRYING", ">DEAD",
                                         ">COMPLETED", ">OLDEST",    "" };
    static const struct list_kind kind = { .schema = "berth.dispatchers/1",
                                           .heads = heads,
                                           .heads_count = sizeof heads / sizeof heads[0],
                                           .json = dispatcher_json,
                                           .row = add_row,
                                           .each = each_dispatcher };
    return list_run(context, &kind);
}

/* What all that are about one dispatcher begin with. */
static int begin_one(struct cli *cli, void *target, const char **ret_name)
{
    int rc = cli_begin(cli, target);
    if (rc == 0)
        rc = berth_name_check("dispatcher", cli->args->operands[0], &cli->err);
    if (rc == 0)
        rc = cli_connect(cli, 0);
    if (rc == 0)
        *ret_name = cli->args->operands[0];
    return rc;
}

static int run_show(void *context)
{
    struct cli *cli = context;
    const char *name;
    struct berth_dispatcher *dispatcher;
    int rc = begin_one(cli, NULL, &name);
    if (rc == 0)
        rc = berth_dispatcher_get(cli->client, name, &dispatcher, cli->opts.connect_timeout_ms,
                                  &cli->err);
    if (rc != 0)
        return cli_fail(cli, rc);
    if (cli->opts.is_json)
        print_json(dispatcher);
    else if (cli->opts.is_quiet)
        (void)printf("%s\n", dispatcher->name);
    else
        print_dispatcher(dispatcher);
    berth_dispatcher_free(dispatcher);
    return CLI_OK;
}

static void take_limits(const struct set_opts *opts, struct berth_dispatcher_settings *settings)
{
    if (opts->parent)
        settings->parent = strcmp(opts->parent, "none") == 0 ? "" : opts->parent;
    settings->weight = (uint32_t)opts->weight;
    if (opts->group_limit)
        (void)parse_count("", opts->group_limit, BERTH_LIMIT_VALUE_MAX, &settings->group_limit,
                          NULL);
    if (opts->rate)
        (void)berth_rate_parse("", opts->rate, &settings->rate_count, &settings->rate_ms, NULL);
    if (opts->rate && settings->rate_ms == 0)
        settings->rate_ms = BERTH_NONE;
    if (opts->burst)
        (void)parse_count("", opts->burst, BURST_MAX, &settings->burst, NULL);
    if (opts->max_queued)
        (void)parse_count("", opts->max_queued, BERTH_LIMIT_VALUE_MAX, &settings->max_queued, NULL);
    settings->hold = (enum berth_dispatcher_hold)(opts->hold + 1);
    settings->on_lost = (enum berth_dispatcher_on_lost)(opts->on_lost + 1);
    settings->jitter = (enum berth_dispatcher_jitter)(opts->jitter + 1);
    if (opts->queue_timeout)
        (void)parse_duration("", opts->queue_timeout, CLI_DURATION_MS_MAX,
                             &settings->queue_timeout_ms, NULL);
    if (opts->deadline)
        (void)parse_duration("", opts->deadline, CLI_DURATION_MS_MAX, &settings->deadline_ms, NULL);
    settings->retention_ms = opts->retention_ms;
    if (opts->retention_count)
        (void)parse_count("", opts->retention_count, RETENTION_COUNT_MAX,
                          &settings->retention_count, NULL);
}

/* All was checked already, so that nothing can fail. */
static struct berth_dispatcher_settings settings_of(const struct set_opts *opts)
{
    struct berth_dispatcher_settings settings = { .max_attempts = (uint32_t)opts->max_attempts };
    if (opts->limit)
        (void)berth_limit_parse("--limit", opts->limit, &settings.limit, NULL);
    if (opts->backoff)
        (void)parse_duration("", opts->backoff, CLI_DURATION_MS_MAX, &settings.backoff_ms, NULL);
    if (opts->backoff_max)
        (void)parse_duration("", opts->backoff_max, CLI_DURATION_MS_MAX, &settings.backoff_ms_max,
                             NULL);
    if (opts->timeout)
        (void)parse_duration("", opts->timeout, CLI_DURATION_MS_MAX, &settings.timeout_ms, NULL);
    if (opts->grace)
        (void)parse_duration("", opts->grace, GRACE_MS_MAX, &settings.grace_ms, NULL);
    take_limits(opts, &settings);
    return settings;
}

static int run_set(void *context)
{
    struct cli *cli = context;
    struct set_opts opts = { .hold = -1, .on_lost = -1, .jitter = -1 };
    const char *name;
    int rc = begin_one(cli, &opts, &name);
    if (rc != 0)
        return cli_fail(cli, rc);
    struct berth_dispatcher_settings settings = settings_of(&opts);
    if (settings.backoff_ms > 0 && settings.backoff_ms_max && opts.backoff_max &&
        settings.backoff_ms > settings.backoff_ms_max)
        return cli_usage("--backoff: '%s' is longer than --backoff-max, which is %s", opts.backoff,
                         opts.backoff_max);
    struct berth_dispatcher *dispatcher;
    rc = berth_dispatcher_set(cli->client, name, &settings, &dispatcher,
                              cli->opts.connect_timeout_ms, &cli->err);
    if (rc < 0)
        return cli_fail(cli, rc);
    if (cli->opts.is_json)
        print_json(dispatcher);
    else if (dispatcher->remark[0] != '\0')
        cli_remark(cli, dispatcher->remark);
    berth_dispatcher_free(dispatcher);
    return CLI_OK;
}

static int set_paused(struct cli *cli, bool is_paused)
{
    const char *name;
    int rc = begin_one(cli, NULL, &name);
    int64_t timeout_ms = cli->opts.connect_timeout_ms;
    if (rc == 0)
        rc = is_paused ? berth_dispatcher_pause(cli->client, name, timeout_ms, &cli->err)
                       : berth_dispatcher_resume(cli->client, name, timeout_ms, &cli->err);
    struct berth_dispatcher *dispatcher = NULL;
    if (rc == 0 && cli->opts.is_json)
        rc = berth_dispatcher_get(cli->client, name, &dispatcher, timeout_ms, &cli->err);
    if (rc < 0)
        return cli_fail(cli, rc);
    if (dispatcher)
        print_json(dispatcher);
    berth_dispatcher_free(dispatcher);
    return CLI_OK;
}

static int run_pause(void *context)
{
    return set_paused(context, true);
}

static int run_resume(void *context)
{
    return set_paused(context, false);
}

const struct berth_command cmd_dispatcher_ls = {
    .name = "dispatcher ls",
    .summary = "list dispatchers, their limits and their jobs",
    .examples = "  berth dispatcher ls\n"
                "  berth dispatcher ls --json | jq '.items[] | {name, ready}'\n",
    .run = run_ls,
};

const struct berth_command cmd_dispatcher_show = {
    .name = "dispatcher show",
    .operands = "DISPATCHER",
    .summary = "show one dispatcher with its settings",
    .examples = "  berth dispatcher show newsletter\n",
    .operands_min = 1,
    .operands_max = 1,
    .run = run_show,
};

const struct berth_command cmd_dispatcher_set = {
    .name = "dispatcher set",
    .operands = "DISPATCHER",
    .summary = "make a dispatcher, or change what is given",
    .examples = "  berth dispatcher set newsletter --limit 5\n"
                "  berth dispatcher set crawl --limit 'max(64,cores)' --timeout 30s\n"
                "  berth dispatcher set newsletter --timeout none --max-attempts 3\n"
                "  berth dispatcher set mail --limit 20 --parent io --rate 100/m\n",
    .settings = set_settings,
    .settings_count = sizeof set_settings / sizeof set_settings[0],
    .operands_min = 1,
    .operands_max = 1,
    .run = run_set,
};

const struct berth_command cmd_dispatcher_pause = {
    .name = "dispatcher pause",
    .operands = "DISPATCHER",
    .summary = "start nothing more; what runs goes on",
    .examples = "  berth dispatcher pause newsletter\n",
    .operands_min = 1,
    .operands_max = 1,
    .run = run_pause,
};

const struct berth_command cmd_dispatcher_resume = {
    .name = "dispatcher resume",
    .operands = "DISPATCHER",
    .summary = "go on after a pause",
    .examples = "  berth dispatcher resume newsletter\n",
    .operands_min = 1,
    .operands_max = 1,
    .run = run_resume,
};
