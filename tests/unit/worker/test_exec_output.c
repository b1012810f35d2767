/* SPDX-License-Identifier: MIT
 *
 * The tail of a stream.
 */
#include "support/berthtest.h"

#include "exec_fixture.h"
#include "worker/handlers/exec_output.h"

static void a_stream_keeps_its_last_bytes_however_it_comes(void **state)
{
    (void)state;
    static char text[5 * EXEC_OUTPUT_BYTES_MAX];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i % 251);
    const size_t pieces[] = { 1, 1000, 65535, 65536, 65537, 140000, sizeof text };
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct exec_output output;
        exec_output_init(&output);
        for (size_t at = 0; at < sizeof text; at += pieces[i])
            exec_output_put(&output, text + at,
                            at + pieces[i] < sizeof text ? pieces[i] : sizeof text - at);
        uint64_t from;
        struct berth_slice kept = exec_output_slice(&output, &from);
        assert_int_equal(kept.bytes, EXEC_OUTPUT_BYTES_MAX);
        assert_int_equal(from, sizeof text - EXEC_OUTPUT_BYTES_MAX);
        assert_memory_equal(kept.data, text + sizeof text - kept.bytes, kept.bytes);
        assert_true(output.is_truncated);
        exec_output_fini(&output);
    }
}

static void what_is_kept_is_found_by_its_place(void **state)
{
    (void)state;
    static char text[3 * EXEC_OUTPUT_BYTES_MAX];
    struct exec_output output;
    exec_output_init(&output);
    uint64_t from = 0;
    assert_int_equal(exec_output_after(&output, &from).bytes, 0);
    exec_output_put(&output, "hello world", 11);

    from = 6;
    struct berth_slice after = exec_output_after(&output, &from);
    exec_assert_text(after, "world");
    assert_int_equal(from, 6);
    from = 11;
    assert_int_equal(exec_output_after(&output, &from).bytes, 0);
    from = 100; /* beyond the end: nothing yet */
    assert_int_equal(exec_output_after(&output, &from).bytes, 0);
    assert_int_equal(from, 100);

    /* What is gone is skipped, and the place says how much. */
    exec_output_put(&output, text, sizeof text);
    from = 6;
    after = exec_output_after(&output, &from);
    assert_int_equal(from + after.bytes, 11 + sizeof text);
    assert_true(after.bytes >= EXEC_OUTPUT_BYTES_MAX);
    exec_output_fini(&output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_keeps_its_last_bytes_however_it_comes),
        cmocka_unit_test(what_is_kept_is_found_by_its_place),
    };
    return berth_test_main(tests, NULL, NULL);
}
