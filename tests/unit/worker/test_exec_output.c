/* SPDX-License-Identifier: MIT
 *
 * The tail of a stream.
 */
#include "support/berthtest.h"

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
        struct berth_slice kept = exec_output_slice(&output);
        assert_int_equal(kept.bytes, EXEC_OUTPUT_BYTES_MAX);
        assert_memory_equal(kept.data, text + sizeof text - kept.bytes, kept.bytes);
        assert_true(output.is_truncated);
        exec_output_fini(&output);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, exec_setup, exec_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_keeps_its_last_bytes_however_it_comes),
    };
    return berth_test_main(tests, NULL, NULL);
}
