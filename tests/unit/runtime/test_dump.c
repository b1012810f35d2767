/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT_BYTES 65536

struct family {
    atomic_int asleep;
    atomic_bool are_asleep;
    char text[TEXT_BYTES];
};

static char *dump_to_text(char *text)
{
    int fd = memfd_create("dump", MFD_CLOEXEC);
    int rc = weft_dump(fd);
    ssize_t got = rc < 0 ? 0 : pread(fd, text, TEXT_BYTES - 1, 0);
    text[got > 0 ? got : 0] = '\0';
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
    "' on default: running\n",
    "\n    'middle' on default: parked, waits for children\n"
    "      'elder' on default: parked, waits for sleep\n"
    "      'younger' on io: parked, waits for sleep\n"
    "    'kept' on default: held\n",
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
        weft_unit_test(threads_have_names),
    };
    return berth_test_main(tests, NULL, NULL);
}
