/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <signal.h>

#include "guest.h"

static void a_plain_thread_is_one_of_wefts_between_enter_and_leave(void **state)
{
    (void)state;
    struct weft_guest guest;
    assert_null(weft_thread_self());

    weft_guest_enter(&guest);

    assert_ptr_equal(weft_thread_self(), &guest.thread);
    assert_true(guest.thread.is_guest);
    weft_guest_leave(&guest);
    assert_null(weft_thread_self());
}

static void a_guest_inside_a_guest_changes_nothing(void **state)
{
    (void)state;
    struct weft_guest outer, inner;
    weft_guest_enter(&outer);

    weft_guest_enter(&inner);
    assert_ptr_equal(weft_thread_self(), &outer.thread);
    weft_guest_leave(&inner);

    assert_ptr_equal(weft_thread_self(), &outer.thread);
    weft_guest_leave(&outer);
}

static void a_guest_keeps_its_name(void **state)
{
    (void)state;
    struct weft_guest guest;
    char before[16];
    assert_int_equal(pthread_getname_np(pthread_self(), before, sizeof before), 0);

    weft_guest_enter(&guest);

    assert_string_equal(weft_thread_name(), before);
    weft_guest_leave(&guest);
}

static void a_guest_keeps_its_stack_for_signals(void **state)
{
    (void)state;
    static char memory[64 << 10];
    stack_t own = { .ss_sp = memory, .ss_size = sizeof memory }, seen, before;
    struct weft_guest guest;
    assert_int_equal(sigaltstack(&own, &before), 0);

    weft_guest_enter(&guest);
    assert_int_equal(sigaltstack(NULL, &seen), 0);
    weft_guest_leave(&guest);

    assert_ptr_equal(seen.ss_sp, memory);
    assert_int_equal(sigaltstack(&before, &seen), 0);
    assert_ptr_equal(seen.ss_sp, memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_thread_is_one_of_wefts_between_enter_and_leave),
        cmocka_unit_test(a_guest_inside_a_guest_changes_nothing),
        cmocka_unit_test(a_guest_keeps_its_name),
        cmocka_unit_test(a_guest_keeps_its_stack_for_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
