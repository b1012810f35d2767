/* SPDX-License-Identifier: MIT
 *
 * One command line, many jobs: arrays and lists of lines, their keys, and the wait for them, with a
 * real broker and a real worker.
 */
#include "cluster.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/await.h"
#include "support/tempdir.h"

#define PATIENT   120000
#define ARRAY     1000
#define WORDS_MAX 32

static const char program[] = BERTH_BIN_DIR "/berth";

static void begin(struct cluster *cluster, struct process *ret_process, const char *const *args)
{
    const char *argv[WORDS_MAX] = { program, "--broker", cluster->site->url };
    size_t count = 3;
    for (; *args; args++) {
        assert_true(count + 1 < WORDS_MAX);
        argv[count++] = *args;
    }
    process_start(ret_process, argv, NULL);
}

/* Runs `berth ... args` with `input` on stdin (NULL: none) and asserts how it ends; `ret_process`
 * is the caller's to fini. */
static void run(struct cluster *cluster, struct process *ret_process, int code, const char *input,
                const char *const *args)
{
    begin(cluster, ret_process, args);
    if (input)
        process_write(ret_process, input);
    process_close_stdin(ret_process);
    int ended = process_await_exit(ret_process, PATIENT);
    if (ended != code)
        fail_msg("ended with %d, not %d: %s", ended, code, process_err(ret_process));
}
#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* The same, with what it prints. */
static void assert_prints(struct cluster *cluster, int code, const char *input, const char *out,
                          const char *const *args)
{
    struct process process;
    run(cluster, &process, code, input, args);
    assert_string_equal(process_out(&process), out);
    process_fini(&process);
}

/* What job `id` has written to stdout. */
static void assert_left(struct cluster *cluster, uint64_t id, const char *wanted)
{
    struct berth_job *job = cluster_job(cluster, id);
    assert_int_equal(job->out.bytes, strlen(wanted));
    if (job->out.bytes > 0)
        assert_memory_equal(job->out.data, wanted, job->out.bytes);
    berth_job_free(job);
}

static void a_thousand_indices_are_a_thousand_jobs_each_run_once(void **state)
{
    struct cluster *cluster = *state;
    cluster_start_worker(cluster, 0, 8);
    char *path = tempdir_path(cluster->site->dir, "indices");
    struct process process;
    run(cluster, &process, 0, NULL,
        WORDS("submit", "--array", "1-1000", "--wait", "--", "sh", "-c",
              "echo $BERTH_ARRAY_INDEX $1 >> $0", path, "i{}"));

    /* First the ids in order, then each once with its end. */
    const char *at = process_out(&process);
    for (unsigned long id = 1; id <= ARRAY; id++, at = strchr(at, '\n') + 1)
        assert_int_equal(strtoul(at, NULL, 10), id);
    static bool has_ended[ARRAY + 1];
    memset(has_ended, 0, sizeof has_ended);
    for (int i = 0; i < ARRAY; i++, at = strchr(at, '\n') + 1) {
        char *end;
        unsigned long id = strtoul(at, &end, 10);
        assert_int_equal(strncmp(end, " completed\n", 11), 0);
        assert_in_range(id, 1, ARRAY);
        assert_false(has_ended[id]);
        has_ended[id] = true;
    }
    assert_string_equal(at, "");
    assert_string_equal(process_err(&process), "");
    process_fini(&process);

    static int seen[ARRAY + 1];
    memset(seen, 0, sizeof seen);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    unsigned index, word;
    while (fscanf(file, "%u i%u\n", &index, &word) == 2) { /* NOLINT(cert-err34-c) */
        assert_int_equal(index, word);
        assert_in_range(index, 1, ARRAY);
        seen[index]++;
    }
    (void)fclose(file);
    for (int i = 1; i <= ARRAY; i++)
        assert_int_equal(seen[i], 1);
    free(path);
}

static void a_range_may_have_steps(void **state)
{
    struct cluster *cluster = *state;
    /* One slot: the jobs end in their order, which is that of the lines. */
    cluster_start_worker(cluster, 0, 1);
    assert_prints(cluster, 0, NULL, "1\n2\n3\n",
                  WORDS("submit", "--array", "0-10:5", "--", "echo", "{}"));
    assert_prints(cluster, 0, NULL, "1\n2\n3\n", WORDS("wait", "-q", "1", "2", "3"));
    assert_left(cluster, 1, "0\n");
    assert_left(cluster, 3, "10\n");
}

static void each_line_is_a_job_and_an_empty_one_too(void **state)
{
    struct cluster *cluster = *state;
    cluster_start_worker(cluster, 0, 8);
    const char *const *args = WORDS("submit", "--each-line", "-", "--wait", "-q", "--", "sh", "-c",
                                    "echo \"$BERTH_LINE|$0|${BERTH_ARRAY_INDEX-none}\"", "<{}>");
    assert_prints(cluster, 0, "two  words\n\n$HOME 'x' {}\nlast", "1\n2\n3\n4\n", args);
    assert_left(cluster, 1, "two  words|<two  words>|none\n");
    assert_left(cluster, 2, "|<>|none\n");
    assert_left(cluster, 3, "$HOME 'x' {}|<$HOME 'x' {}>|none\n");
    assert_left(cluster, 4, "last|<last>|none\n");

    char *path = tempdir_path(cluster->site->dir, "lines");
    tempdir_write(path, "a\n");
    assert_prints(cluster, 0, NULL, "5\n",
                  WORDS("submit", "--each-line", path, "--", "echo", "{}"));
    tempdir_write(path, "");
    assert_prints(cluster, 0, NULL, "", WORDS("submit", "--each-line", path, "--", "echo", "{}"));
    free(path);
}

static void under_a_key_the_same_line_again_finds_the_same_jobs(void **state)
{
    struct cluster *cluster = *state;
    const char *const *array =
        WORDS("submit", "--array", "1-3", "--key", "night", "--", "echo", "{}");
    assert_prints(cluster, 0, NULL, "1\n2\n3\n", array);
    assert_prints(cluster, 0, NULL, "1\n2\n3\n", array);
    assert_prints(cluster, 0, NULL, "2\n3\n4\n",
                  WORDS("submit", "--array", "2-4", "--key", "night", "--", "echo", "{}"));
    struct berth_job *job = cluster_job(cluster, 4);
    assert_string_equal(job->idempotency_key, "night/4");
    berth_job_free(job);

    const char *const *lines =
        WORDS("submit", "--each-line", "-", "--key", "mails", "--", "mail", "{}");
    assert_prints(cluster, 0, "a\nb\n", "5\n6\n", lines);
    assert_prints(cluster, 0, "a\nb\nc\n", "5\n6\n7\n", lines);
    struct process process;
    run(cluster, &process, 1, "a\nother\nc\nd\n", lines);
    assert_string_equal(process_out(&process), "5\n7\n8\n");
    assert_in_text(process_err(&process), "berth: 3 of 4 jobs were taken; line 2: ");
    process_fini(&process);
}

static void the_wait_for_many_ends_as_the_worst_of_them(void **state)
{
    struct cluster *cluster = *state;
    cluster_start_worker(cluster, 0, 8);
    struct process process;
    run(cluster, &process, 3, NULL,
        WORDS("submit", "--array", "1-5", "--wait", "--max-attempts", "1", "--", "test", "{}",
              "-ne", "3"));
    assert_in_text(process_out(&process), "3 dead\n");
    assert_in_text(process_out(&process), "5 completed\n");
    assert_string_equal(process_err(&process), "berth: of 5 jobs 1 are dead and 0 cancelled\n");
    process_fini(&process);

    cluster_set_limit(cluster, "still", 1);
    assert_prints(cluster, 0, NULL, "", WORDS("dispatcher", "pause", "still"));
    begin(cluster, &process,
          WORDS("submit", "--array", "1-2", "-d", "still", "--wait", "--", "date"));
    assert_true(process_await_text(&process, "6\n7\n", PATIENT));
    assert_prints(cluster, 0, NULL, "6\n", WORDS("cancel", "6"));
    assert_true(process_await_text(&process, "6 cancelled\n", PATIENT));
    assert_prints(cluster, 0, NULL, "7\n", WORDS("cancel", "7"));
    assert_int_equal(process_await_exit(&process, PATIENT), 4);
    process_fini(&process);

    assert_prints(cluster, 3, NULL, "3 dead\n6 cancelled\n", WORDS("wait", "6", "3"));

    assert_prints(cluster, 0, NULL, "8\n9\n",
                  WORDS("submit", "--array", "1-2", "-d", "still", "--", "date"));
    run(cluster, &process, 124, NULL, WORDS("wait", "1", "8", "9", "--timeout", "3s"));
    assert_string_equal(process_out(&process), "1 completed\n");
    assert_in_text(process_err(&process), "1 of 3 jobs have ended");
    process_fini(&process);
    assert_prints(cluster, 5, NULL, "", WORDS("wait", "8", "77"));

    begin(cluster, &process,
          WORDS("submit", "--array", "1-2", "-d", "still", "--wait", "--", "date"));
    assert_true(process_await_text(&process, "10\n11\n", PATIENT));
    process_kill(&process, SIGINT);
    assert_int_equal(process_await_exit(&process, PATIENT), 130);
    process_fini(&process);
    site_stop(cluster->site);
    assert_prints(cluster, 69, NULL, "",
                  WORDS("submit", "--array", "1-2", "--connect-timeout", "200ms", "--", "date"));
}

static void more_than_a_submit_holds_goes_in_several(void **state)
{
    struct cluster *cluster = *state;
    struct process process;
    run(cluster, &process, 0, NULL, WORDS("submit", "--array", "1-25000", "--", "echo", "{}"));
    const char *at = process_out(&process);
    for (unsigned long id = 1; id <= 25000; id++, at = strchr(at, '\n') + 1)
        assert_int_equal(strtoul(at, NULL, 10), id);
    assert_string_equal(at, "");
    process_fini(&process);
    struct berth_job *job = cluster_job(cluster, 25000);
    assert_string_equal(job->command[1], "25000");
    assert_true(job->has_array_index);
    assert_int_equal(job->array_index, 25000);
    berth_job_free(job);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, cluster_setup, cluster_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_thousand_indices_are_a_thousand_jobs_each_run_once),
        TEST(a_range_may_have_steps),
        TEST(each_line_is_a_job_and_an_empty_one_too),
        TEST(under_a_key_the_same_line_again_finds_the_same_jobs),
        TEST(the_wait_for_many_ends_as_the_worst_of_them),
        TEST(more_than_a_submit_holds_goes_in_several),
    };
    return berth_test_main(tests, NULL, NULL);
}
