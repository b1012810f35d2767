/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/await.h"

#define TEXT_BYTES 65536

struct family {
    atomic_int asleep;
    atomic_bool are_asleep;
    char text[TEXT_BYTES];
};

/* Takes "#17 " out of each line. */
static void numbers_drop(char *text)
{
    char *to = text;
    for (const char *at = text; *at != '\0';) {
        size_t digits = *at == '#' ? strspn(at + 1, "0123456789") : 0;
        if (digits > 0)
            at += digits + 2;
        else
            *to++ = *at++;
    }
    *to = '\0';
}

static char *dump_to_text(char *text)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);
    int rc = weft_dump(fd);
    ssize_t got = rc < 0 ? 0 : pread(fd, text, TEXT_BYTES - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    numbers_drop(text);
    (void)close(fd);
    return text;
}

static int grandchild(void *arg)
{
    struct family *family = arg;
    if (++family->asleep == 2)
        family->are_asleep = true;
    return weft_sleep_until(WEFT_NEVER);
}

static int child(void *arg)
{
    struct weft_scope outer, inner;
    weft_scope_open(&outer);
    weft_launch_opts(&outer, NULL, grandchild, arg, &(struct weft_task_opts){ .name = "elder" });
    weft_scope_open(&inner);
    weft_launch_opts(&inner, weft_io(), grandchild, arg,
                     &(struct weft_task_opts){ .name = "younger" });
    int rc = weft_scope_close(&inner, 0);
    return weft_scope_close(&outer, rc);
}

static const char *const wanted[] = {
    "weft: ",
    "default: 1 of 2 running, 0 queued; io: 0 of 9 running, 0 queued; virtual: 0 of ",
    "\n  'parent' on default: running\n",
    "\n    'middle' on default: parked, waits for children\n"
    "      'elder' on default: parked, waits for sleep\n"
    "      'younger' on io: parked, waits for sleep\n"
    "    'kept' on default: held\n"
    "weft: 5 coroutines: 1 running, 3 parked, 1 held; waiting for children 1, sleep 2\n",
};
#define WANTED_COUNT (sizeof wanted / sizeof wanted[0])

static const char *first_missing(const char *text)
{
    for (size_t i = 0; i < WANTED_COUNT; i++) {
        if (!strstr(text, wanted[i]))
            return wanted[i];
    }
    return NULL;
}

/* Until all have come to rest: they say that they sleep before they do. */
static int parent(void *arg)
{
    struct family *family = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_opts(&scope, NULL, child, family, &(struct weft_task_opts){ .name = "middle" });
    (void)weft_async_opts(&scope, NULL, child, family,
                          &(struct weft_task_opts){ .name = "kept", .start = WEFT_START_HELD });
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    do {
        (void)weft_sleep_ms(1);
        (void)dump_to_text(family->text);
    } while (first_missing(family->text) && weft_now_ns() < deadline_ns);
    weft_scope_cancel(&scope);
    return weft_scope_close(&scope, 0);
}

static void the_tree_is_shown_with_states_and_reasons(void **state)
{
    (void)state;
    struct family *family = calloc(1, sizeof *family);
    assert_non_null(family);
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 2, .io_threads = 9 }), 0);

    assert_int_equal(weft_run(parent, family), 0);

    const char *missing = first_missing(family->text);
    if (missing)
        print_error("'%s' is missing in:\n%s\n", missing, family->text);
    assert_null(missing);
    free(family);
}

#define CROWD 1000

static int sleep_in_crowd(void *arg)
{
    struct family *family = arg;
    if (++family->asleep == CROWD)
        family->are_asleep = true;
    return weft_sleep_until(WEFT_NEVER);
}

static int gather(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < CROWD; i++)
        weft_launch_opts(&scope, NULL, sleep_in_crowd, arg,
                         &(struct weft_task_opts){ .name = "one of very many" });
    return weft_scope_close(&scope, 0);
}

static void a_dump_from_a_plain_thread_shows_every_one_of_many(void **state)
{
    (void)state;
    struct family *family = calloc(1, sizeof *family);
    assert_non_null(family);
    struct weft_task *root = weft_root_open(NULL, gather, family);
    assert_true(test_block_until(&family->are_asleep));

    (void)dump_to_text(family->text);

    int lines = 0;
    for (const char *at = family->text; (at = strstr(at, "'one of very many'")); at++)
        lines++;
    assert_int_equal(lines, CROWD);
    weft_cancel(root);
    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
    free(family);
}

static void a_dump_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    assert_int_equal(weft_dump(full), -ENOSPC);
    assert_int_equal(weft_dump(-1), -EBADF);

    (void)close(full);
}

static void before_anything_has_started_a_dump_is_one_line(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    (void)dump_to_text(text);
    assert_non_null(strstr(text, "weft: 0 threads"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

/* ---- while others go on ---- */

/* A dump into a pipe, by a thread of its own. */
struct dumper {
    pthread_t thread;
    int ends[2];
    int rc;
};

static void *dumper_run(void *arg)
{
    struct dumper *dumper = arg;
    dumper->rc = weft_dump(dumper->ends[1]);
    (void)close(dumper->ends[1]);
    return NULL;
}

/* When it returns, the dump has written something, and soon waits for its reader. */
static void dumper_start(struct dumper *dumper)
{
    assert_int_equal(pipe2(dumper->ends, O_CLOEXEC), 0);
    (void)fcntl(dumper->ends[0], F_SETPIPE_SZ, 4096);
    assert_int_equal(pthread_create(&dumper->thread, NULL, dumper_run, dumper), 0);
    struct pollfd ready = { .fd = dumper->ends[0], .events = POLLIN };
    assert_int_equal(poll(&ready, 1, TEST_WAIT_MS), 1);
}

/* Reads to the end; how many lines have `text` in them. */
static int dumper_count(struct dumper *dumper, const char *text)
{
    FILE *in = fdopen(dumper->ends[0], "r");
    assert_non_null(in);
    char line[512];
    int count = 0;
    while (fgets(line, sizeof line, in))
        count += strstr(line, text) != NULL;
    (void)fclose(in);
    (void)pthread_join(dumper->thread, NULL);
    assert_int_equal(dumper->rc, 0);
    return count;
}

#define MANY       (WEFT_TSAN ? 1000 : WEFT_ASAN ? 10000 : 50000)
#define GROWTH_MAX 4096 /* KiB */

struct crowd {
    int count, seen;
    atomic_int asleep;
    atomic_long turnover; /* of those who come and go */
};

static int sleep_for_ever(void *arg)
{
    struct crowd *crowd = arg;
    crowd->asleep++;
    return weft_sleep_until(WEFT_NEVER);
}

static int come_and_go(void *arg)
{
    struct crowd *crowd = arg;
    crowd->turnover++;
    return weft_yield();
}

static int turn_over(void *arg)
{
    struct crowd *crowd = arg;
    int rc = 0;
    while (rc == 0 && weft_check() == 0) {
        struct weft_scope scope;
        weft_scope_open(&scope);
        for (int i = 0; i < 10; i++)
            weft_launch(&scope, NULL, come_and_go, crowd);
        rc = weft_scope_close(&scope, 0);
    }
    return rc;
}

static int crowd_run(void *arg)
{
    struct crowd *crowd = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, turn_over, crowd);
    for (int i = 0; i < crowd->count; i++)
        weft_launch_opts(&scope, NULL, sleep_for_ever, crowd,
                         &(struct weft_task_opts){ .name = "sleeper" });
    weft_launch(&scope, NULL, turn_over, crowd);
    return weft_scope_close(&scope, 0);
}

static bool have_more_come(void *arg)
{
    const struct crowd *crowd = arg;
    return crowd->asleep == crowd->count || crowd->asleep > crowd->seen;
}

/* However many, and however slow the machine: as long as there are more and more. */
static void await_crowd(struct crowd *crowd)
{
    while (crowd->asleep < crowd->count) {
        crowd->seen = crowd->asleep;
        assert_true(await(have_more_come, crowd, TEST_WAIT_MS));
    }
}

static long peak_kib(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void await_turnover(struct crowd *crowd, long more)
{
    long until = crowd->turnover + more;
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    while (crowd->turnover < until && weft_now_ns() < deadline_ns)
        (void)sched_yield();
    assert_true(crowd->turnover >= until);
}

/* WEFT_TEST_MANY in the environment: so many, for a machine with 5 KiB for each. */
static void very_many_are_shown_in_little_memory_while_others_come_and_go(void **state)
{
    (void)state;
    const char *many = getenv("WEFT_TEST_MANY");
    struct crowd crowd = { .count = many ? (int)strtol(many, NULL, 10) : MANY };
    struct weft_task *root = weft_root_open(NULL, crowd_run, &crowd);
    await_crowd(&crowd);
    await_turnover(&crowd, 100);
    long before_kib = peak_kib();

    /* They say that they sleep before they do: the last of them may need another dump. */
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    int count;
    do {
        struct dumper slow;
        dumper_start(&slow);
        await_turnover(&crowd, 1000); /* although the dump waits for its reader */
        count = dumper_count(&slow, "'sleeper' on default: parked, waits for sleep\n");
    } while (count < crowd.count && weft_now_ns() < deadline_ns);

    assert_int_equal(count, crowd.count);
    if (!TEST_IS_SLOW)
        assert_true(peak_kib() - before_kib < GROWTH_MAX);
    weft_cancel(root);
    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
}

#define SIBLINGS 1000

struct siblings {
    atomic_int asleep;
    atomic_bool are_asleep, has_ended, is_uncle_there;
    struct weft_scope scope;
};

static int sibling(void *arg)
{
    struct siblings *family = arg;
    if (++family->asleep == SIBLINGS)
        family->are_asleep = true;
    return weft_sleep_until(WEFT_NEVER);
}

static int inner_parent(void *arg)
{
    struct siblings *family = arg;
    weft_scope_open(&family->scope);
    for (int i = 0; i < SIBLINGS; i++)
        weft_launch_opts(&family->scope, NULL, sibling, family,
                         &(struct weft_task_opts){ .name = "sibling" });
    (void)weft_scope_close(&family->scope, 0);
    family->has_ended = true;
    return 0;
}

static int uncle(void *arg)
{
    ((struct siblings *)arg)->is_uncle_there = true;
    return weft_sleep_until(WEFT_NEVER);
}

static int outer_parent(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, inner_parent, arg);
    weft_launch_opts(&scope, NULL, uncle, arg, &(struct weft_task_opts){ .name = "uncle" });
    return weft_scope_close(&scope, 0);
}

static void a_scope_that_closes_under_a_dump_sends_it_on(void **state)
{
    (void)state;
    struct siblings family = { 0 };
    struct weft_task *root = weft_root_open(NULL, outer_parent, &family);
    assert_true(test_block_until(&family.are_asleep));
    assert_true(test_block_until(&family.is_uncle_there));
    struct dumper dumpers[2];
    dumper_start(&dumpers[0]);
    dumper_start(&dumpers[1]);

    weft_scope_cancel(&family.scope);
    assert_true(test_block_until(&family.has_ended));

    for (int i = 0; i < 2; i++)
        assert_int_equal(dumper_count(&dumpers[i], "'uncle'"), 1);
    weft_cancel(root);
    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
}

#define DUMPS (TEST_IS_SLOW ? 5 : 50)

static void *dump_often(void *arg)
{
    int *rc = arg;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (int i = 0; i < DUMPS && *rc == 0; i++)
        *rc = weft_dump(fd);
    (void)close(fd);
    return NULL;
}

static void dumps_do_not_disturb_each_other(void **state)
{
    (void)state;
    struct crowd crowd = { .count = 300 };
    struct weft_task *root = weft_root_open(NULL, crowd_run, &crowd);
    await_crowd(&crowd);
    pthread_t threads[3];
    int rcs[3] = { 0 };

    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, dump_often, &rcs[i]), 0);
    for (int i = 0; i < 3; i++)
        (void)pthread_join(threads[i], NULL);

    for (int i = 0; i < 3; i++)
        assert_int_equal(rcs[i], 0);
    weft_cancel(root);
    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
}

static void a_dump_whose_reader_goes_leaves_nothing_behind(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    struct siblings family = { 0 };
    struct weft_task *root = weft_root_open(NULL, outer_parent, &family);
    assert_true(test_block_until(&family.are_asleep));
    struct dumper dumper;
    dumper_start(&dumper);

    (void)close(dumper.ends[0]);
    (void)pthread_join(dumper.thread, NULL);

    assert_int_equal(dumper.rc, -EPIPE);
    weft_cancel(root);
    assert_int_equal(weft_root_close(root), WEFT_ECHILD);
}

/* ---- by a coroutine, for a coroutine ---- */

struct relay {
    struct siblings siblings;
    int ends[2];
    int lines, rc;
};

static int relay_dump(void *arg)
{
    struct relay *relay = arg;
    relay->rc = weft_dump(relay->ends[1]);
    (void)close(relay->ends[1]);
    return 0;
}

static int relay_read(void *arg)
{
    struct relay *relay = arg;
    char bytes[256];
    ssize_t got;
    while ((got = read(relay->ends[0], bytes, sizeof bytes)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            relay->lines += bytes[i] == '\n';
    }
    return close(relay->ends[0]);
}

static int relay_run(void *arg)
{
    struct relay *relay = arg;
    struct weft_scope sleepers, scope;
    weft_scope_open(&sleepers);
    weft_launch(&sleepers, NULL, inner_parent, &relay->siblings);
    (void)test_await(&relay->siblings.are_asleep);
    weft_scope_open(&scope);
    weft_launch(&scope, weft_virtual(), relay_dump, relay);
    weft_launch(&scope, weft_virtual(), relay_read, relay);
    int rc = weft_scope_close(&scope, 0);
    weft_scope_cancel_children(&sleepers);
    return weft_scope_close(&sleepers, rc);
}

static void a_coroutine_reads_what_another_dumps(void **state)
{
    (void)state;
    struct relay relay = { 0 };
    assert_int_equal(pipe2(relay.ends, O_CLOEXEC), 0);
    (void)fcntl(relay.ends[0], F_SETPIPE_SZ, 4096);

    assert_int_equal(weft_run(relay_run, &relay), 0);

    assert_int_equal(relay.rc, 0);
    assert_in_range(relay.lines, SIBLINGS + 5, SIBLINGS + 7);
}

struct reader {
    int ends[2];
    char wanted[64], text[TEXT_BYTES];
};

static int wait_to_read(void *arg)
{
    const struct reader *reader = arg;
    return weft_fd_wait(reader->ends[0], POLLIN, WEFT_NEVER);
}

/* Until it has come to rest. */
static int dump_reader(void *arg)
{
    struct reader *reader = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, wait_to_read, reader);
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    do {
        (void)weft_sleep_ms(1);
        (void)dump_to_text(reader->text);
    } while (!strstr(reader->text, reader->wanted) && weft_now_ns() < deadline_ns);
    (void)close(reader->ends[1]);
    return weft_scope_close(&scope, 0);
}

static void who_waits_for_a_descriptor_is_shown_with_its_number(void **state)
{
    (void)state;
    struct reader *reader = calloc(1, sizeof *reader);
    assert_non_null(reader);
    assert_int_equal(pipe2(reader->ends, O_CLOEXEC), 0);
    (void)snprintf(reader->wanted, sizeof reader->wanted, ": parked, waits for descriptor %d\n",
                   reader->ends[0]);

    assert_int_equal(weft_run(dump_reader, reader), 0);

    assert_non_null(strstr(reader->text, reader->wanted));
    assert_non_null(strstr(reader->text, "; waiting for descriptors 1\n"));
    (void)close(reader->ends[0]);
    free(reader);
}

static int name_thread(void *arg)
{
    char *name = arg;
    strncpy(name, weft_thread_name(), 31);
    return 0;
}

static void threads_have_names(void **state)
{
    (void)state;
    char name[32] = "";

    assert_int_equal(weft_run(name_thread, name), 0);

    assert_int_equal(strncmp(name, "weft-", 5), 0);
    assert_true(weft_thread_name()[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(before_anything_has_started_a_dump_is_one_line),
        weft_unit_test(the_tree_is_shown_with_states_and_reasons),
        weft_unit_test(a_dump_from_a_plain_thread_shows_every_one_of_many),
        weft_unit_test(a_dump_that_cannot_be_written_is_an_error),
        weft_unit_test(very_many_are_shown_in_little_memory_while_others_come_and_go),
        weft_unit_test(a_scope_that_closes_under_a_dump_sends_it_on),
        weft_unit_test(dumps_do_not_disturb_each_other),
        weft_unit_test(a_dump_whose_reader_goes_leaves_nothing_behind),
        weft_unit_test(a_coroutine_reads_what_another_dumps),
        weft_unit_test(who_waits_for_a_descriptor_is_shown_with_its_number),
        weft_unit_test(threads_have_names),
    };
    return berth_test_main(tests, NULL, NULL);
}
