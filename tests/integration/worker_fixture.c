/* SPDX-License-Identifier: MIT */
#include "worker_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

int worker_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f || site_setup((void **)&f->site) < 0)
        return -1;
    site_start(f->site, NULL);
    *state = f;
    return berth_client_open(&(struct berth_client_opts){ .url = f->site->url }, &f->client, NULL);
}

int worker_teardown(void **state)
{
    struct fixture *f = *state;
    berth_client_close(f->client);
    for (size_t i = 0; i < WORKERS; i++) {
        if (f->workers[i].pid)
            process_fini(&f->workers[i]);
    }
    void *site = f->site;
    (void)site_teardown(&site);
    free(f);
    return 0;
}

void worker_begin(struct fixture *f, size_t index, const char *const *args)
{
    const char *argv[ARGS_MAX] = { BERTH_BIN_DIR "/berth-worker", "--broker", f->site->url,
                                   "--name", index == 0 ? "w0" : "w1" };
    size_t argc = 5;
    for (; args && *args; args++) {
        assert_true(argc + 1 < ARGS_MAX);
        argv[argc++] = *args;
    }
    process_start(&f->workers[index], argv, NULL);
}

void await_worker_text(struct fixture *f, size_t index, const char *text)
{
    if (!process_await_text(&f->workers[index], text, WAIT_MS))
        fail_msg("worker %zu does not say '%s': %s", index, text, process_err(&f->workers[index]));
}

void given_worker(struct fixture *f, size_t index)
{
    static const char *const args[] = { "--plugin", PLUGIN, "--allow-exec", NULL };
    worker_begin(f, index, args);
    await_worker_text(f, index, "event=joined");
}

int await_worker_exit(struct fixture *f, size_t index)
{
    int code = process_await_exit(&f->workers[index], WAIT_MS);
    if (code == PROCESS_TIMED_OUT)
        fail_msg("worker %zu has not ended: %s", index, process_err(&f->workers[index]));
    return code;
}

berth_job_id submit(struct fixture *f, const struct berth_job_spec *spec)
{
    berth_job_id id;
    struct berth_error err;
    if (berth_submit(f->client, spec, &id, WAIT_MS, &err) < 0)
        fail_msg("%s", err.message);
    return id;
}

berth_job_id submit_handler(struct fixture *f, const char *handler, const char *payload)
{
    return submit(
        f, &(struct berth_job_spec){ .handler = handler, .payload = berth_slice_of(payload) });
}

berth_job_id submit_shell(struct fixture *f, const char *script)
{
    const char *const argv[] = { "/bin/sh", "-c", script, NULL };
    return submit(f, &(struct berth_job_spec){ .command = argv, .max_attempts = 1 });
}

struct berth_job *await_end(struct fixture *f, berth_job_id id, enum berth_state state)
{
    struct berth_job *job;
    struct berth_error err;
    if (berth_job_wait(f->client, id, &job, WAIT_MS, &err) < 0)
        fail_msg("job %llu: %s", (unsigned long long)id.v, err.message);
    if (job->state != state)
        fail_msg("job %llu is %s, not %s: %s", (unsigned long long)id.v,
                 berth_state_name(job->state), berth_state_name(state), job->error_message);
    return job;
}

void assert_slice(struct berth_slice slice, const char *text)
{
    if (!berth_slice_is_equal(slice, berth_slice_of(text)))
        fail_msg("'%.*s' is not '%s'", (int)slice.bytes, (const char *)slice.data, text);
}

void tracing_script(char script[static PATH_BYTES_MAX], const char *path, const char *seconds)
{
    (void)snprintf(script, PATH_BYTES_MAX, "echo begin >> %s; sleep %s; echo end >> %s", path,
                   seconds, path);
}

berth_job_id given_blocked(struct fixture *f, char **ret_fifo)
{
    *ret_fifo = tempdir_path(f->site->dir, "fifo");
    assert_int_equal(mkfifo(*ret_fifo, 0600), 0);
    berth_job_id id = submit_handler(f, "block", *ret_fifo);
    await_worker_text(f, 0, "message=blocking");
    return id;
}

void unblock(char *fifo)
{
    int fd = open(fifo, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)close(fd);
    free(fifo);
}

void await_file(const char *path, const char *text)
{
    int64_t until_ms = berth_clock_monotonic_ms() + WAIT_MS;
    char found[256] = "";
    while (strcmp(found, text) != 0) {
        if (berth_clock_monotonic_ms() > until_ms)
            fail_msg("%s holds '%s', not '%s'", path, found, text);
        FILE *file = fopen(path, "re");
        size_t bytes = file ? fread(found, 1, sizeof found - 1, file) : 0;
        found[bytes] = '\0';
        if (file)
            (void)fclose(file);
    }
}
