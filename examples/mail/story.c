/* SPDX-License-Identifier: MIT */
/* mail-story: the newsletter/auth story, told by a service that enqueues and looks on.
 *
 * 150 newsletters (5 slots) and 300 registration mails (50 slots) are submitted at once. Both go to
 * the same mail provider through the same workers. A line per dispatcher while it runs; at the end
 * what was delivered, how long jobs waited for their start, and the provider's own count of the
 * most requests it ever saw at once. Exit 0 only if all of it is as promised.
 */
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <berth/admin.h>
#include <berth/client.h>

#define CALL_MS     60000  /* a restart of the broker fits into it */
#define STORY_MS    240000 /* the whole of it */
#define PAYLOAD_MAX 64
#define KINDS       2
#define LOG_PAUSE_S 2
#define STATS_BYTES 2048

struct chapter {
    const char *name;
    uint32_t limit;
    size_t jobs;
    /* What came of it. */
    berth_job_id *ids;
    int64_t *waited_us; /* from submit to the start of the attempt that ended it */
    size_t completed, failed;
    int64_t first_us, last_us;                         /* the first submit, the last end */
    unsigned requests, delivered, distinct, most, now; /* the provider's words */
};

static struct chapter chapters[KINDS] = { { .name = "newsletter", .limit = 5, .jobs = 150 },
                                          { .name = "auth", .limit = 50, .jobs = 300 } };

static int fail(const char *what, const struct berth_error *err)
{
    fprintf(stderr, "mail-story: %s: %s\n", what, err->message);
    return -1;
}

/* ---- telling ---- */

static int set_limits(struct berth_client *client)
{
    struct berth_error err;
    for (size_t i = 0; i < KINDS; i++) {
        struct berth_dispatcher_settings settings = {
            .limit = { .kind = BERTH_LIMIT_NUMBER, .value = chapters[i].limit },
            .backoff_ms = 200,
        };
        if (berth_dispatcher_set(client, chapters[i].name, &settings, NULL, CALL_MS, &err) < 0)
            return fail("dispatcher set", &err);
    }
    return 0;
}

static int submit(struct berth_client *client, struct chapter *chapter)
{
    struct berth_job_spec *specs = calloc(chapter->jobs, sizeof *specs);
    struct berth_submitted *submitted = calloc(chapter->jobs, sizeof *submitted);
    char(*payloads)[PAYLOAD_MAX] = calloc(chapter->jobs, sizeof *payloads);
    chapter->ids = calloc(chapter->jobs, sizeof *chapter->ids);
    chapter->waited_us = calloc(chapter->jobs, sizeof *chapter->waited_us);
    struct berth_error err = { 0 };
    int rc = -1;
    if (!specs || !submitted || !payloads || !chapter->ids || !chapter->waited_us)
        goto free_all;
    for (size_t i = 0; i < chapter->jobs; i++) {
        int bytes = snprintf(payloads[i], sizeof payloads[i], "%s user-%zu@example.org",
                             chapter->name, i + 1);
        specs[i] = (struct berth_job_spec){ .dispatcher = chapter->name,
                                            .handler = "mail",
                                            .payload = { payloads[i], (size_t)bytes },
                                            .max_attempts = 20 };
    }
    rc = berth_submit_many(client, specs, chapter->jobs, submitted, CALL_MS, &err);
    if (rc < 0 || (size_t)rc != chapter->jobs) {
        rc = fail("submit", &err);
        goto free_all;
    }
    for (size_t i = 0; i < chapter->jobs; i++)
        chapter->ids[i] = submitted[i].id;
    rc = 0;
free_all:
    free(specs);
    free(submitted);
    free(payloads);
    return rc;
}

/* ---- looking on ---- */

static void print_bar(const struct berth_dispatcher *dispatcher, size_t total)
{
    char bar[31];
    uint64_t done = dispatcher->completed_total < total ? dispatcher->completed_total : total;
    size_t full = total ? (size_t)(done * (sizeof bar - 1) / total) : 0;
    memset(bar, '.', sizeof bar - 1);
    memset(bar, '#', full);
    bar[sizeof bar - 1] = '\0';
    printf("  %-10s [%s] %3" PRIu64 "/%zu done  %2" PRIu64 " running (limit %u)  %3" PRIu64
           " ready%s",
           dispatcher->name, bar, dispatcher->completed_total, total, dispatcher->running,
           dispatcher->limit.value, dispatcher->ready + dispatcher->retrying,
           isatty(STDOUT_FILENO) ? "\033[K\n" : "\n");
}

/* Whether both have ended. */
static int print_progress(struct berth_client *client, bool *ret_is_over)
{
    struct berth_error err;
    struct berth_dispatcher *dispatchers[KINDS] = { NULL };
    *ret_is_over = true;
    for (size_t i = 0; i < KINDS; i++) {
        if (berth_dispatcher_get(client, chapters[i].name, &dispatchers[i], CALL_MS, &err) < 0)
            return fail("dispatcher show", &err);
        if (dispatchers[i]->completed_total + dispatchers[i]->dead < chapters[i].jobs)
            *ret_is_over = false;
    }
    for (size_t i = 0; i < KINDS; i++) {
        print_bar(dispatchers[i], chapters[i].jobs);
        berth_dispatcher_free(dispatchers[i]);
    }
    fflush(stdout);
    return 0;
}

static int look_on(struct berth_client *client, time_t start)
{
    bool is_over = false, is_terminal = isatty(STDOUT_FILENO);
    /* What is not overwritten is said less often. */
    struct timespec pause = { .tv_sec = is_terminal ? 1 : LOG_PAUSE_S };
    while (!is_over) {
        if (!is_terminal)
            printf("%3ld s\n", (long)(time(NULL) - start));
        if (print_progress(client, &is_over) < 0)
            return -1;
        if (time(NULL) - start > STORY_MS / 1000) {
            fprintf(stderr, "mail-story: not done after %d s\n", STORY_MS / 1000);
            return -1;
        }
        if (!is_over) {
            nanosleep(&pause, NULL);
            if (is_terminal)
                printf("\033[%dA", KINDS);
        }
    }
    return 0;
}

static int read_jobs(struct berth_client *client, struct chapter *chapter)
{
    struct berth_error err;
    for (size_t i = 0; i < chapter->jobs; i++) {
        struct berth_job *job;
        if (berth_job_wait(client, chapter->ids[i], &job, CALL_MS, &err) < 0)
            return fail("wait", &err);
        chapter->completed += job->state == BERTH_COMPLETED;
        chapter->failed += job->state != BERTH_COMPLETED;
        chapter->waited_us[i] = job->started_unix_us - job->submitted_unix_us;
        if (!chapter->first_us || job->submitted_unix_us < chapter->first_us)
            chapter->first_us = job->submitted_unix_us;
        if (job->finished_unix_us > chapter->last_us)
            chapter->last_us = job->finished_unix_us;
        berth_job_free(job);
    }
    return 0;
}

/* ---- the provider's count ---- */

struct text {
    char bytes[STATS_BYTES];
    size_t used;
};

static size_t take(char *data, size_t size, size_t count, void *arg)
{
    struct text *text = arg;
    size_t bytes = size * count;
    if (bytes >= sizeof text->bytes - text->used)
        return 0;
    memcpy(text->bytes + text->used, data, bytes);
    text->used += bytes;
    return bytes;
}

static int read_stats(const char *api)
{
    char url[256];
    struct text text = { .used = 0 };
    snprintf(url, sizeof url, "%s/stats", api);
    CURL *curl = curl_easy_init();
    if (!curl)
        return -1;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &text);
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    if (rc != CURLE_OK) {
        fprintf(stderr, "mail-story: the mail API: %s\n", curl_easy_strerror(rc));
        return -1;
    }
    char *rest = text.bytes;
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        char name[32];
        struct chapter said = { 0 };
        if (sscanf(line, "%31s %u %u %u %u %u", name, &said.requests, &said.delivered,
                   &said.distinct, &said.most, &said.now) != 6)
            continue;
        for (size_t i = 0; i < KINDS; i++) {
            if (strcmp(chapters[i].name, name) != 0)
                continue;
            chapters[i].requests = said.requests;
            chapters[i].delivered = said.delivered;
            chapters[i].distinct = said.distinct;
            chapters[i].most = said.most;
        }
    }
    return 0;
}

/* ---- the end ---- */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The smallest value that at least `percent` of all do not exceed. */
static double percentile_s(int64_t *values, size_t count, unsigned percent)
{
    qsort(values, count, sizeof *values, compare);
    size_t rank = (count * percent + 99) / 100;
    return (double)values[rank ? rank - 1 : 0] / 1e6;
}

static double seconds(const struct chapter *chapter)
{
    return (double)(chapter->last_us - chapter->first_us) / 1e6;
}

static void print_table(void)
{
    printf("\n%-11s %8s %9s %10s %11s %11s %9s %22s\n", "dispatcher", "accepted", "delivered",
           "sent twice", "queued p50", "queued p99", "all done", "most at once (limit)");
    for (size_t i = 0; i < KINDS; i++) {
        struct chapter *c = &chapters[i];
        printf("%-11s %8zu %9u %10u %9.2f s %9.2f s %7.1f s %15u (%u)\n", c->name, c->jobs,
               c->distinct, c->delivered - c->distinct, percentile_s(c->waited_us, c->jobs, 50),
               percentile_s(c->waited_us, c->jobs, 99), seconds(c), c->most, c->limit);
    }
    printf("(most at once: counted by the mail API itself)\n\n");
}

static bool expect(bool is_true, const char *what)
{
    printf("%s  %s\n", is_true ? "ok    " : "FAILED", what);
    return is_true;
}

static bool judge(void)
{
    const struct chapter *news = &chapters[0], *auth = &chapters[1];
    bool is_well = true;
    is_well &= expect(news->completed == news->jobs && auth->completed == auth->jobs,
                      "every job that was accepted has completed");
    is_well &= expect(news->distinct == news->jobs && auth->distinct == auth->jobs,
                      "every mail was delivered");
    is_well &= expect(news->most <= news->limit, "newsletter: never more than 5 at once");
    is_well &= expect(auth->most <= auth->limit, "auth: never more than 50 at once");
    is_well &= expect(news->most == news->limit && auth->most == auth->limit,
                      "both used all the slots they have");
    is_well &= expect(seconds(auth) < seconds(news) / 2,
                      "the registration mails did not wait for the newsletters");
    return is_well;
}

int main(int argc, char **argv)
{
    const char *api = getenv("MAIL_API_URL");
    if (argc != 1 || !api) {
        fprintf(stderr, "usage: MAIL_API_URL=http://127.0.0.1:PORT [BERTH_URL=...] %s\n", argv[0]);
        return 2;
    }
    struct berth_client *client;
    struct berth_error err;
    if (berth_client_open(NULL, &client, &err) < 0)
        return fail("open", &err), 1;
    time_t start = time(NULL);
    int rc = set_limits(client);
    for (size_t i = 0; rc == 0 && i < KINDS; i++)
        rc = submit(client, &chapters[i]);
    if (rc == 0)
        rc = look_on(client, start);
    for (size_t i = 0; rc == 0 && i < KINDS; i++)
        rc = read_jobs(client, &chapters[i]);
    if (rc == 0)
        rc = read_stats(api);
    if (rc == 0) {
        print_table();
        rc = judge() ? 0 : -1;
    }
    for (size_t i = 0; i < KINDS; i++) {
        free(chapters[i].ids);
        free(chapters[i].waited_us);
    }
    berth_client_close(client);
    return rc == 0 ? 0 : 1;
}
