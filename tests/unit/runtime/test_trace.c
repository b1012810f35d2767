/* SPDX-License-Identifier: MIT
 *
 * The recorder. Each recording is read by trace_check.py, which checks it as a whole.
 */
#include "wefttest.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/process.h"
#include "support/tempdir.h"

#define CHECK_MS 120000 /* python starts slowly where all are busy */
#define NAPPERS  3

struct fixture {
    char *dir, *path;
};

static int begin(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->dir = tempdir_new();
    f->path = tempdir_path(f->dir, "trace.json");
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;
    (void)weft_trace_stop();
    int rc = weft_shutdown();
    free(f->path);
    tempdir_free(f->dir);
    free(f);
    return rc;
}

/* What trace_check.py finds in the recording; it fails the test if there is something wrong. */
static void check(struct fixture *f, struct process *ret_checker)
{
    const char *const argv[] = { "python3", "-B", TRACE_CHECK, f->path, NULL };
    int rc = process_run(ret_checker, argv, NULL, NULL, CHECK_MS);
    if (rc != 0)
        print_error("%s\n", process_err(ret_checker));
    assert_int_equal(rc, 0);
}

static void assert_fact(const struct process *checker, const char *fact)
{
    char line[256];
    (void)snprintf(line, sizeof line, "%s\n", fact);
    const char *out = process_out(checker), *at = strstr(out, line);
    bool is_found = at && (at == out || at[-1] == '\n');
    if (!is_found)
        print_error("no '%s' in:\n%s\n", fact, out);
    assert_true(is_found);
}

static void assert_facts(struct fixture *f, const char *const *facts)
{
    struct process checker;
    check(f, &checker);
    for (; *facts; facts++)
        assert_fact(&checker, *facts);
    process_fini(&checker);
}

/* ---- what is shown ---- */

/* A sleep can be over before it has begun, on a busy machine. On the one thread of default these
 * surely park: nobody wakes them before all have begun to wait. */
struct naps {
    struct weft_semaphore wakes;
    int begun;
};

static int nap_twice(void *arg)
{
    struct naps *naps = arg;
    int rc = 0;
    for (int i = 0; i < 2 && rc == 0; i++) {
        naps->begun++;
        rc = weft_semaphore_acquire(&naps->wakes, WEFT_NEVER);
    }
    return rc;
}

static int three_nap(void *arg)
{
    struct naps naps = { .begun = 0 };
    struct weft_scope scope;
    (void)arg;
    weft_semaphore_init(&naps.wakes, 0);
    weft_scope_open(&scope);
    for (int i = 0; i < NAPPERS; i++)
        weft_launch_opts(&scope, NULL, nap_twice, &naps,
                         &(struct weft_task_opts){ .name = "napper" });
    for (int round = 1; round <= 2; round++) {
        while (naps.begun < round * NAPPERS)
            (void)weft_yield();
        for (int i = 0; i < NAPPERS; i++)
            weft_semaphore_release(&naps.wakes);
    }
    return weft_scope_close(&scope, 0);
}

static int run_three_naps(void)
{
    int rc = weft_configure(&(struct weft_opts){ .threads = 1 });
    return rc < 0 && rc != -EALREADY ? rc : weft_run(three_nap, NULL);
}

static void turns_lives_and_arrows_of_coroutines_are_recorded(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(weft_trace_start(f->path, 0), 0);

    assert_int_equal(run_three_naps(), 0);
    assert_int_equal(weft_shutdown(), 0);
    assert_int_equal(weft_trace_stop(), 0);

    assert_facts(f, (const char *const[]){ "turn napper = 9", "on default: napper = 9",
                                           "then parked: semaphore: napper = 6",
                                           "then ended: napper = 3", "life b napper = 3",
                                           "life e napper = 3", "overwritten = 0", NULL });
}

static int work(void *arg)
{
    (void)arg;
    return weft_yield();
}

static int go_to_io(void *arg)
{
    return weft_with(weft_io(), work, arg);
}

static int move(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_opts(&scope, NULL, go_to_io, arg, &(struct weft_task_opts){ .name = "mover" });
    weft_launch_opts(&scope, NULL, work, arg,
                     &(struct weft_task_opts){ .name = "here", .start = WEFT_START_UNDISPATCHED });
    return weft_scope_close(&scope, 0);
}

static void moves_yields_and_starts_in_place_are_told_apart(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(weft_trace_start(f->path, 0), 0);

    assert_int_equal(weft_run(move, NULL), 0);
    assert_int_equal(weft_trace_stop(), 0);

    assert_facts(f, (const char *const[]){
                        "on default: mover = 2", "on io: mover = 2", "then moved to io: mover = 1",
                        "then moved to default: mover = 1", "then yielded: mover = 1",
                        "then ended: mover = 1", "then yielded: here = 1", NULL });
}

static int three_in_line(void *arg)
{
    struct weft_dispatcher *line = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 3; i++)
        weft_launch_opts(&scope, line, work, NULL, &(struct weft_task_opts){ .name = "job" });
    return weft_scope_close(&scope, 0);
}

static void a_view_shows_when_it_ran_and_how_many_ran_on_it(void **state)
{
    struct fixture *f = *state;
    struct weft_dispatcher *line;
    assert_int_equal(weft_view_serial(weft_default(), "line", &line), 0);
    assert_int_equal(weft_trace_start(f->path, 0), 0);

    assert_int_equal(weft_run(three_in_line, line), 0);
    assert_int_equal(weft_trace_stop(), 0);

    struct process checker;
    check(f, &checker);
    assert_fact(&checker, "on line: job = 6");
    assert_fact(&checker, "most running on line = 1");
    assert_non_null(strstr(process_out(&checker), "view line = "));
    process_fini(&checker);
}

static int launch_cancelled(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    (void)weft_async_opts(
        &scope, NULL, work, arg,
        &(struct weft_task_opts){ .name = "never ran", .start = WEFT_START_HELD });
    return weft_scope_close(&scope, 0);
}

static void what_never_ran_has_a_life_and_no_turn(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(weft_trace_start(f->path, 0), 0);

    assert_int_equal(weft_run(launch_cancelled, NULL), 0);
    assert_int_equal(weft_trace_stop(), 0);

    struct process checker;
    check(f, &checker);
    assert_fact(&checker, "life b never ran = 1");
    assert_fact(&checker, "life e never ran = 1");
    assert_null(strstr(process_out(&checker), "turn never ran"));
    process_fini(&checker);
}

static int launch_with_odd_names(void *arg)
{
    char *name = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    const struct weft_task_opts opts = { .name = name };
    int rc = weft_await(weft_async_opts(&scope, NULL, work, NULL, &opts));
    rc = weft_scope_close(&scope, rc);
    memcpy(name, "gone", sizeof "gone");
    return rc;
}

static void a_name_is_copied_and_quoted_whatever_its_bytes(void **state)
{
    struct fixture *f = *state;
    char name[] = "caf\xc3\xa9 \"q\" \\ \xff\xc3 \x01";
    assert_int_equal(weft_trace_start(f->path, 0), 0);

    assert_int_equal(weft_run(launch_with_odd_names, name), 0);
    assert_int_equal(weft_trace_stop(), 0);

    assert_facts(f, (const char *const[]){ "turn caf\xc3\xa9 \"q\" \\ ?? \x01 = 2", NULL });
}

static int stop_myself(void *arg)
{
    (void)arg;
    return weft_trace_stop();
}

static void a_turn_that_still_runs_ends_with_the_recording(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(weft_trace_start(f->path, 0), 0);

    assert_int_equal(weft_run(stop_myself, NULL), 0);

    struct process checker;
    check(f, &checker);
    assert_non_null(strstr(process_out(&checker), "then still running: "));
    process_fini(&checker);
}

/* ---- rings ---- */

#define YIELDS 3000

static int yield_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < YIELDS; i++)
        (void)weft_yield();
    return 0;
}

static int two_yield(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < 2; i++)
        weft_launch_opts(&scope, NULL, yield_often, arg,
                         &(struct weft_task_opts){ .name = "yielder" });
    return weft_scope_close(&scope, 0);
}

static void a_ring_that_has_wrapped_keeps_the_newest_and_stays_whole(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(weft_trace_start(f->path, 4096), 0);

    assert_int_equal(weft_run(two_yield, NULL), 0);
    assert_int_equal(weft_trace_stop(), 0);

    struct process checker;
    check(f, &checker);
    assert_null(strstr(process_out(&checker), "overwritten = 0\n"));
    assert_non_null(strstr(process_out(&checker), "turn yielder = "));
    process_fini(&checker);
    struct stat facts;
    assert_int_equal(stat(f->path, &facts), 0);
    assert_true(facts.st_size < 400 * 1024);
}

static int run_for_ever(void *arg)
{
    atomic_bool *is_over = arg;
    while (!*is_over)
        (void)weft_yield();
    return 0;
}

static int nap_a_little(void *arg)
{
    (void)arg;
    return weft_sleep_ms(40);
}

static void recordings_start_and_stop_while_coroutines_go_on(void **state)
{
    struct fixture *f = *state;
    atomic_bool is_over = false;
    struct weft_task *roots[4];
    for (int i = 0; i < 4; i++)
        roots[i] = weft_root_open(NULL, run_for_ever, &is_over);

    for (int i = 0; i < 10; i++) {
        assert_int_equal(weft_trace_start(f->path, 65536), 0);
        assert_int_equal(weft_run(nap_a_little, NULL), 0);
        assert_int_equal(weft_trace_stop(), 0);
    }

    is_over = true;
    for (int i = 0; i < 4; i++)
        assert_int_equal(weft_root_close(roots[i]), 0);
    struct process checker;
    check(f, &checker);
    assert_non_null(strstr(process_out(&checker), "then yielded: "));
    process_fini(&checker);
}

static void *run_from_a_thread(void *arg)
{
    (void)pthread_setname_np(pthread_self(), "short-lived");
    (void)weft_root_close(weft_root_open(NULL, work, arg));
    return NULL;
}

static void what_a_thread_recorded_outlives_it(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(weft_trace_start(f->path, 0), 0);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, run_from_a_thread, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    assert_int_equal(weft_shutdown(), 0);

    assert_int_equal(weft_trace_stop(), 0);

    struct process checker, grep;
    check(f, &checker);
    process_fini(&checker);
    const char *const argv[] = { "grep", "-c", "\"name\":\"short-lived ", f->path, NULL };
    assert_int_equal(process_run(&grep, argv, NULL, NULL, CHECK_MS), 0);
    assert_string_equal(process_out(&grep), "3\n");
    process_fini(&grep);
}

/* ---- errors ---- */

static void start_and_stop_come_in_turns(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(weft_trace_stop(), -EALREADY);
    assert_int_equal(weft_trace_start(f->path, 0), 0);
    assert_int_equal(weft_trace_start(f->path, 0), -EALREADY);
    assert_int_equal(weft_trace_stop(), 0);
    assert_int_equal(weft_trace_stop(), -EALREADY);
    assert_facts(f, (const char *const[]){ "tracks = 0", NULL });
}

static void what_cannot_be_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(weft_trace_start(NULL, 0), -EINVAL);
    assert_int_equal(weft_trace_start(f->path, 1), -EINVAL);
    assert_int_equal(weft_trace_start(f->path, SIZE_MAX), -EINVAL);
    assert_int_equal(weft_trace_start(f->dir, 0), -EISDIR);
    assert_int_equal(weft_trace_start("/nonexistent/trace.json", 0), -ENOENT);
    assert_int_equal(weft_trace_stop(), -EALREADY);
}

static void a_full_disk_is_reported_and_the_next_recording_works(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(weft_trace_start("/dev/full", 0), 0);
    assert_int_equal(run_three_naps(), 0);
    assert_int_equal(weft_trace_stop(), -ENOSPC);

    assert_int_equal(weft_trace_start(f->path, 0), 0);
    assert_int_equal(run_three_naps(), 0);
    assert_int_equal(weft_trace_stop(), 0);

    assert_facts(f, (const char *const[]){ "turn napper = 9", NULL });
}

/* ---- the environment ---- */

static void an_environment_variable_records_the_whole_program(void **state)
{
    struct fixture *f = *state;
    char variable[512];
    (void)snprintf(variable, sizeof variable, "WEFT_TRACE=%s", f->path);
    const char *const argv[] = { "/proc/self/exe", "napping", NULL };
    const char *const env[] = { variable, NULL };
    struct process program;

    assert_int_equal(process_run(&program, argv, env, NULL, CHECK_MS), 0);
    process_fini(&program);

    assert_facts(f, (const char *const[]){ "turn napper = 18", "overwritten = 0", NULL });
}

/* Twice, for a runtime that starts again belongs to the same recording. */
static int be_napping(void)
{
    int rc = run_three_naps();
    (void)weft_shutdown();
    return rc < 0 || run_three_naps() < 0;
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return be_napping();
#define trace_test(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        trace_test(turns_lives_and_arrows_of_coroutines_are_recorded),
        trace_test(moves_yields_and_starts_in_place_are_told_apart),
        trace_test(a_view_shows_when_it_ran_and_how_many_ran_on_it),
        trace_test(what_never_ran_has_a_life_and_no_turn),
        trace_test(a_name_is_copied_and_quoted_whatever_its_bytes),
        trace_test(a_turn_that_still_runs_ends_with_the_recording),
        trace_test(a_ring_that_has_wrapped_keeps_the_newest_and_stays_whole),
        trace_test(recordings_start_and_stop_while_coroutines_go_on),
        trace_test(what_a_thread_recorded_outlives_it),
        trace_test(start_and_stop_come_in_turns),
        trace_test(what_cannot_be_is_refused),
        trace_test(a_full_disk_is_reported_and_the_next_recording_works),
        trace_test(an_environment_variable_records_the_whole_program),
    };
    return berth_test_main(tests, NULL, NULL);
}
