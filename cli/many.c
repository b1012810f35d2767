/* SPDX-License-Identifier: MIT */
/* See many.h. */
#include "cli/many.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/json.h"
#include "cli/wait.h"

#define NOT_SENT 1 /* in the place of a result */

struct many {
    struct cli *cli;
    struct expand *expand;
    struct berth_arena arena;          /* of the batch under way */
    struct berth_job_spec *specs;      /* of the batch under way */
    struct berth_submitted *submitted; /* of all */
    size_t sent, taken;
};

static int many_init(struct many *many, struct cli *cli, struct expand *expand)
{
    size_t batch = expand->count < BERTH_SUBMIT_JOBS_MAX ? expand->count : BERTH_SUBMIT_JOBS_MAX;
    *many = (struct many){ .cli = cli,
                           .expand = expand,
                           .specs = calloc(batch + 1, sizeof *many->specs),
                           .submitted = calloc(expand->count + 1, sizeof *many->submitted) };
    berth_arena_init(&many->arena, EXPAND_ARENA_BYTES_MAX);
    if (!many->specs || !many->submitted)
        return berth_fail(&cli->err, -ENOMEM, "submit %zu jobs", expand->count);
    return 0;
}

static void many_fini(struct many *many)
{
    berth_arena_fini(&many->arena);
    free(many->specs);
    free(many->submitted);
}

static void print_ids(const struct many *many, size_t first)
{
    if (many->cli->opts.is_json)
        return;
    for (size_t i = first; i < many->sent; i++)
        if (many->submitted[i].rc == 0)
            (void)printf("%" PRIu64 "\n", many->submitted[i].id.v);
    (void)fflush(stdout); /* also for those who are interrupted later on */
}

/* One batch. 0 if all of it was taken, else the reason of the first that was not. */
static int send_batch(struct many *many, int64_t timeout_ms)
{
    struct cli *cli = many->cli;
    struct berth_submitted *submitted = many->submitted + many->sent;
    berth_arena_reset(&many->arena);
    int count =
        expand_next(many->expand, &many->arena, many->specs, BERTH_SUBMIT_JOBS_MAX, &cli->err);
    if (count < 0)
        return count;
    for (int i = 0; i < count; i++)
        submitted[i].rc = NOT_SENT; /* a call that finds a malformed job leaves them so */
    int rc = berth_submit_many(cli->client, many->specs, (size_t)count, submitted, timeout_ms,
                               &cli->err);
    many->sent += (size_t)count;
    many->taken += rc > 0 ? (size_t)rc : 0;
    print_ids(many, many->sent - (size_t)count);
    if (rc == count)
        return 0;
    return rc < 0 ? rc : cli->err.code;
}

/* Says which one was the first that was not taken, and why. */
static int say_refused(const struct many *many, int rc)
{
    const struct cli *cli = many->cli;
    size_t at = 0;
    while (at < many->sent && many->submitted[at].rc == 0)
        at++;
    char place[EXPAND_PLACE_TEXT_MAX] = "";
    if (at < many->sent && many->submitted[at].rc != NOT_SENT)
        (void)expand_place(many->expand, at, place);
    (void)fprintf(stderr, "berth: %zu of %zu jobs were taken%s%s: %s\n", many->taken,
                  many->expand->count, place[0] ? "; " : "", place,
                  cli->err.code == rc ? cli->err.message : berth_strerror(rc));
    return cli_exit_of(rc);
}

static void print_json(const struct many *many, const struct wait *wait)
{
    struct json json;
    json_init(&json, stdout);
    json_document_begin(&json, "berth.submitted/1");
    json_array_begin(&json, "items");
    for (size_t i = 0; i < many->sent; i++) {
        const struct berth_submitted *submitted = &many->submitted[i];
        enum berth_state state = wait ? wait_state(wait, submitted->id) : 0;
        json_object_begin(&json, NULL);
        if (submitted->rc == 0)
            json_u64(&json, "id", submitted->id.v);
        else
            json_null(&json, "id");
        json_bool(&json, "existing", submitted->is_existing);
        json_text_or_null(&json, "state", state ? berth_state_name(state) : "");
        json_object_end(&json);
    }
    json_array_end(&json);
    json_null(&json, "next");
    json_document_end(&json);
}

static void say_end(void *arg, berth_job_id id, enum berth_state state)
{
    const struct cli_opts *opts = arg;
    if (opts->is_json || opts->is_quiet)
        return;
    (void)printf("%" PRIu64 " %s\n", id.v, berth_state_name(state));
    (void)fflush(stdout);
}

/* Ends that make the command fail are said in one line. */
static void say_failures(const struct wait *wait)
{
    if (wait->dead + wait->cancelled > 0)
        (void)fprintf(stderr, "berth: of %zu jobs %zu are dead and %zu cancelled\n", wait->count,
                      wait->dead, wait->cancelled);
}

static int wait_for_all(struct many *many, struct wait *wait)
{
    struct cli *cli = many->cli;
    BERTH_AUTO_MEM berth_job_id *ids = calloc(many->sent + 1, sizeof *ids);
    if (!ids)
        return berth_fail(&cli->err, -ENOMEM, "wait for %zu jobs", many->sent);
    for (size_t i = 0; i < many->sent; i++)
        ids[i] = many->submitted[i].id;
    int rc = wait_init(wait, ids, many->sent, &cli->err);
    if (rc < 0)
        return rc;
    wait->say = say_end;
    wait->arg = &cli->opts;
    rc = wait_run(wait, cli->client, cli_wants_bar(cli, wait->count), INT64_MAX, &cli->err);
    if (rc == 0)
        say_failures(wait);
    return rc;
}

/* Who does not wait wants to know soon whether anybody answers; a batch may then take its time. */
static int begin(struct cli *cli, bool is_waiting)
{
    int rc = cli_connect(cli, CLI_PATIENCE_MS);
    struct berth_broker_status *status = NULL;
    if (rc == 0 && !is_waiting)
        rc = berth_broker_status(cli->client, &status, cli->opts.connect_timeout_ms, &cli->err);
    berth_broker_status_free(status);
    return rc;
}

int many_submit(struct cli *cli, struct expand *expand, bool is_waiting)
{
    struct many many;
    struct wait wait = { .count = 0 };
    int rc = many_init(&many, cli, expand);
    if (rc == 0 && expand->count > 0)
        rc = begin(cli, is_waiting);
    int code = rc < 0 ? cli_fail(cli, rc) : CLI_OK;
    while (code == CLI_OK && many.sent < expand->count) {
        rc = send_batch(&many, CLI_PATIENCE_MS);
        code = rc < 0 ? say_refused(&many, rc) : CLI_OK;
    }
    bool has_waited = code == CLI_OK && is_waiting && expand->count > 0;
    if (has_waited) {
        rc = wait_for_all(&many, &wait);
        code = rc < 0 ? cli_fail(cli, rc) : wait_exit(&wait);
    }
    if (cli->opts.is_json && (many.sent > 0 || code == CLI_OK))
        print_json(&many, has_waited ? &wait : NULL);
    wait_fini(&wait);
    many_fini(&many);
    return code;
}
