/* SPDX-License-Identifier: MIT
 *
 * The growing buffer.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "support/faulty.h"

static void an_empty_buffer_is_an_empty_text(void **state)
{
    (void)state;
    struct berth_buf buf;
    berth_buf_init(&buf, 10);

    assert_string_equal(berth_buf_text(&buf), "");
    assert_int_equal(berth_buf_slice(&buf).bytes, 0);
    berth_buf_clear(&buf);
    berth_buf_fini(&buf);
}

static void what_is_appended_stands_behind_what_was(void **state)
{
    (void)state;
    BERTH_AUTO(berth_buf) buf = berth_buf_new(1000);

    assert_rc(berth_buf_append(buf, "ab", 2), 0);
    assert_rc(berth_buf_append_text(buf, "cd"), 0);
    assert_rc(berth_buf_printf(buf, "%d-%s", 42, "x"), 0);
    assert_rc(berth_buf_append(buf, NULL, 0), 0);

    assert_string_equal(berth_buf_text(buf), "abcd42-x");
    assert_int_equal(buf->bytes, 8);
    berth_buf_drop(buf, 3);
    assert_string_equal(berth_buf_text(buf), "d42-x");
    berth_buf_clear(buf);
    assert_string_equal(berth_buf_text(buf), "");
}

static void it_grows_to_its_maximum_and_no_further(void **state)
{
    (void)state;
    BERTH_AUTO(berth_buf) buf = berth_buf_new(1000);
    for (int i = 0; i < 1000; i++)
        assert_rc(berth_buf_append(buf, "x", 1), 0);

    assert_rc(berth_buf_append(buf, "y", 1), -EMSGSIZE);
    assert_rc(berth_buf_printf(buf, "%s", "y"), -EMSGSIZE);
    assert_rc(berth_buf_reserve(buf, SIZE_MAX), -EMSGSIZE);

    assert_int_equal(buf->bytes, 1000);
    assert_int_equal(buf->capacity, 1001);
    assert_int_equal(strlen(berth_buf_text(buf)), 1000);
    assert_null(strchr(berth_buf_text(buf), 'y'));
}

static void a_reserved_place_may_be_written(void **state)
{
    (void)state;
    BERTH_AUTO(berth_buf) buf = berth_buf_new(100);
    assert_rc(berth_buf_append_text(buf, "a"), 0);

    assert_rc(berth_buf_reserve(buf, 99), 0);
    memset(buf->data + buf->bytes, 'b', 99);
    berth_buf_added(buf, 99);

    assert_int_equal(strlen(berth_buf_text(buf)), 100);
}

/* A pipe that holds `bytes` of text and has been closed for writing. */
static int given_pipe_with(size_t bytes)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(write(ends[1], "z", 1), 1);
    close(ends[1]);
    return ends[0];
}

static void filling_reads_to_the_end(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 10000 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        BERTH_AUTO(berth_buf) buf = berth_buf_new(10000);
        BERTH_AUTO_FD int fd = given_pipe_with(sizes[i]);

        assert_rc(berth_buf_fill(buf, fd), 0);

        assert_int_equal(buf->bytes, sizes[i]);
        assert_int_equal(strlen(berth_buf_text(buf)), sizes[i]);
    }
}

static void filling_refuses_more_than_the_maximum(void **state)
{
    (void)state;
    BERTH_AUTO(berth_buf) buf = berth_buf_new(10000);
    BERTH_AUTO_FD int fd = given_pipe_with(10001);

    assert_rc(berth_buf_fill(buf, fd), -EMSGSIZE);

    assert_int_equal(buf->bytes, 10000);
}

static void filling_from_a_bad_descriptor_says_so(void **state)
{
    (void)state;
    BERTH_AUTO(berth_buf) buf = berth_buf_new(10);

    assert_rc(berth_buf_fill(buf, -1), -EBADF);
    assert_rc(berth_buf_append_text(buf, "0123456789"), 0);
    assert_rc(berth_buf_fill(buf, -1), -EBADF);
}

static void without_memory_the_contents_stay(void **state)
{
    (void)state;
    FAULTY_FOREACH(n)
    {
        struct berth_buf *buf = berth_buf_new(1000);
        int rc = buf ? berth_buf_append_text(buf, "short") : -ENOMEM;
        char filler[500];
        memset(filler, 'x', sizeof filler);
        size_t before = buf ? buf->bytes : 0;
        int rc2 = buf && rc == 0 ? berth_buf_append(buf, filler, sizeof filler) : -ENOMEM;
        bool has_failed = faulty_stop();

        assert_rc(rc2, has_failed ? -ENOMEM : 0);
        if (has_failed && buf)
            assert_int_equal(buf->bytes, before);
        if (buf)
            assert_memory_equal(berth_buf_text(buf), "short", before < 5 ? before : 5);
        berth_buf_free(buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_is_an_empty_text),
        cmocka_unit_test(what_is_appended_stands_behind_what_was),
        cmocka_unit_test(it_grows_to_its_maximum_and_no_further),
        cmocka_unit_test(a_reserved_place_may_be_written),
        cmocka_unit_test(filling_reads_to_the_end),
        cmocka_unit_test(filling_refuses_more_than_the_maximum),
        cmocka_unit_test(filling_from_a_bad_descriptor_says_so),
        cmocka_unit_test(without_memory_the_contents_stay),
    };
    return berth_test_main(tests, NULL, NULL);
}
