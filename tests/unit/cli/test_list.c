/* SPDX-License-Identifier: MIT */
/* `ls` of dispatchers, schedules and workers: what all of them have in common. */
#include "commands.h"

#include <berth/error.h>

static void a_list_of_nothing_is_said_to_people_and_a_document_for_programs(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "schedule ls"), 0);
    assert_string_equal(out(f), "");
    assert_string_equal(process_err(&f->process), "berth: there are no schedules\n");
    assert_int_equal(run(f, "schedule ls -q"), 0);
    assert_string_equal(out(f), "");
    assert_string_equal(process_err(&f->process), "");
    assert_int_equal(run(f, "schedule ls --json"), 0);
    assert_string_equal(out(f), "{\"schema\":\"berth.schedules/1\",\"items\":[],\"next\":null}\n");
    assert_string_equal(process_err(&f->process), "");
}

static void each_form_has_all_items(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "dispatcher ls"), 0);
    assert_non_null(strstr(out(f), "\ndefault "));
    assert_non_null(strstr(out(f), "\nio "));
    assert_int_equal(run(f, "dispatcher ls -q"), 0);
    assert_string_equal(out(f), "default\nio\n");
    assert_int_equal(run(f, "dispatcher ls --json -q"), 0);
    assert_json(f, "[i['name'] for i in d['items']] == ['default', 'io'] and d['next'] is None and "
                   "list(d)[0] == 'schema'");
}

static void a_list_that_fails_leaves_no_document(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *line;
        enum fake_message message;
    } lists[] = { { "dispatcher ls --json", FAKE_DISPATCHER_GET },
                  { "worker ls --json", FAKE_WORKERS },
                  { "schedule ls --json", FAKE_SCHEDULE_LIST } };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        fake_broker_next_error(f->broker, lists[i].message, BERTH_ELATER, "not now", 1);
        assert_int_equal(run(f, lists[i].line), 75);
        assert_string_equal(out(f), "");
        assert_string_equal(process_err(&f->process), "berth: not now\n");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_list_of_nothing_is_said_to_people_and_a_document_for_programs),
        TEST(each_form_has_all_items),
        TEST(a_list_that_fails_leaves_no_document),
    };
    return berth_test_main(tests, NULL, NULL);
}
