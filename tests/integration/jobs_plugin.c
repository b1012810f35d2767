/* SPDX-License-Identifier: MIT */
/* Handlers for tests with real workers. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <berth/worker.h>

/* Gives its payload back. */
static int echo(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    struct berth_slice payload = berth_attempt_payload(attempt);
    berth_attempt_log(attempt, "echo of %zu bytes", payload.bytes);
    return berth_attempt_result(attempt, payload.data, payload.bytes);
}

/* Sleeps in weft for a minute, or until it is told to end; leaves the reason. */
static int wait_long(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    berth_attempt_log(attempt, "waiting");
    int rc = weft_sleep_ms(60000);
    berth_attempt_log(attempt, "told to end: %s", berth_attempt_cancel_reason(attempt));
    return rc;
}

/* Fails until its third attempt. */
static int third_time(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    uint32_t number = berth_attempt_number(attempt);
    if (number < 3)
        return berth_attempt_retry_at(attempt, 1, "attempt %u is too early", number);
    return berth_attempt_result(attempt, "at last", 7);
}

static int never(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    return berth_attempt_fail_forever(attempt, "there is no such address");
}

/* Puts itself off once. */
static int later(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    if (berth_attempt_number(attempt) == 1)
        return berth_attempt_snooze(attempt, 100);
    return 0;
}

/* Plain blocking code, which does not hear of anything: waits for a writer of the FIFO that the
 * payload names. */
static int block(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    char path[PATH_MAX];
    struct berth_slice payload = berth_attempt_payload(attempt);
    (void)snprintf(path, sizeof path, "%.*s", (int)payload.bytes, (const char *)payload.data);
    berth_attempt_log(attempt, "blocking");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return close(fd);
}

/* Is halfway, and blocks as above; then is done. */
static int halfway(struct berth_attempt *attempt, void *arg)
{
    berth_attempt_progress(attempt, 1, 2);
    int rc = block(attempt, arg);
    berth_attempt_progress(attempt, 2, 2);
    return rc;
}

/* Leaves a line in the file that the payload names. */
static void leave_line(struct berth_attempt *attempt, const char *line)
{
    char path[PATH_MAX];
    struct berth_slice payload = berth_attempt_payload(attempt);
    (void)snprintf(path, sizeof path, "%.*s", (int)payload.bytes, (const char *)payload.data);
    FILE *file = fopen(path, "ae");
    if (!file)
        return;
    (void)fprintf(file, "%s\n", line);
    (void)fclose(file);
}

static int line_count(struct berth_attempt *attempt)
{
    char path[PATH_MAX];
    struct berth_slice payload = berth_attempt_payload(attempt);
    (void)snprintf(path, sizeof path, "%.*s", (int)payload.bytes, (const char *)payload.data);
    FILE *file = fopen(path, "re");
    int count = 0;
    for (int c = 0; file && c != EOF; c = getc(file))
        count += c == '\n';
    if (file)
        (void)fclose(file);
    return count;
}

/* The three ways to take the process along: each leaves a line first. */
static int crash(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    leave_line(attempt, "crash");
    (void)weft_sleep_ms(1); /* on another thread, perhaps */
    /* No NULL, which a sanitizer would see. */
    volatile char *page = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return *page;
}

static int give_up(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    leave_line(attempt, "abort");
    abort();
}

static int leave(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    leave_line(attempt, "leave");
    _exit(3);
}

/* The first time. */
static int crash_once(struct berth_attempt *attempt, void *arg)
{
    if (berth_attempt_number(attempt) == 1)
        return crash(attempt, arg);
    leave_line(attempt, "well");
    return 0;
}

/* Stands beside those: the first attempt until its process dies, the next ones until there are two
 * lines. */
static int beside(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    bool is_first = berth_attempt_number(attempt) == 1;
    berth_attempt_log(attempt, "attempt %u stands beside", berth_attempt_number(attempt));
    int rc = 0;
    while (rc >= 0 && (is_first || line_count(attempt) < 2))
        rc = weft_sleep_ms(10);
    return rc;
}

static int jobs_open(struct berth_worker *worker, struct berth_error *err)
{
    static const struct {
        const char *name;
        berth_handler_fn fn;
    } rows[] = { { "echo", echo },       { "wait-long", wait_long },   { "third-time", third_time },
                 { "never", never },     { "later", later },           { "block", block },
                 { "halfway", halfway }, { "crash", crash },           { "give-up", give_up },
                 { "leave", leave },     { "crash-once", crash_once }, { "beside", beside } };
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < sizeof rows / sizeof rows[0]; i++)
        rc = berth_worker_handler(worker, rows[i].name, rows[i].fn, NULL, NULL, err);
    return rc;
}

static void jobs_close(void)
{
    (void)fprintf(stderr, "plugin jobs: closed\n");
}

const struct berth_plugin berth_plugin = { BERTH_PLUGIN_ABI, sizeof(struct berth_plugin),
                                           "jobs",           "1.0",
                                           jobs_open,        jobs_close };
