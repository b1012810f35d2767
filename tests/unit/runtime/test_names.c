/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <stdio.h>

#include "names.h"

static void a_name_is_copied_and_free_again_when_it_is_given_back(void **state)
{
    (void)state;
    char text[] = "auth";
    const char *copy = NULL;

    assert_int_equal(weft_name_take(text, &copy), 0);

    assert_ptr_not_equal(copy, text);
    assert_string_equal(copy, "auth");
    weft_name_give(copy);
    assert_int_equal(weft_name_take("auth", &copy), 0);
    weft_name_give(copy);
    weft_name_give(NULL);
}

static void a_name_in_use_is_refused(void **state)
{
    (void)state;
    const char *copy = NULL, *none = NULL;
    assert_int_equal(weft_name_take("newsletter", &copy), 0);

    assert_int_equal(weft_name_take("newsletter", &none), -EEXIST);

    assert_null(none);
    weft_name_give(copy);
}

static void a_released_name_may_be_taken_while_the_copy_is_still_read(void **state)
{
    (void)state;
    const char *copy = NULL, *again = NULL;
    assert_int_equal(weft_name_take("pool", &copy), 0);

    weft_name_release(copy);

    assert_int_equal(weft_name_take("pool", &again), 0);
    assert_string_equal(copy, "pool");
    weft_name_give(copy);
    assert_int_equal(weft_name_take("pool", &copy), -EEXIST); /* giving took nothing from it */
    weft_name_give(again);
}

static void the_names_of_the_built_in_dispatchers_are_in_use(void **state)
{
    (void)state;
    const char *const names[] = { "default", "io", "virtual", "main", "unconfined" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *none = NULL;
        assert_int_equal(weft_name_take(names[i], &none), -EEXIST);
        assert_null(none);
    }
}

static void a_name_has_between_one_and_64_bytes(void **state)
{
    (void)state;
    const char *copy = NULL;
    char text[WEFT_DISPATCHER_NAME_BYTES_MAX + 2];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';

    assert_int_equal(weft_name_take(NULL, &copy), -EINVAL);
    assert_int_equal(weft_name_take("", &copy), -EINVAL);
    assert_int_equal(weft_name_take(text, &copy), -EINVAL);
    text[WEFT_DISPATCHER_NAME_BYTES_MAX] = '\0';
    assert_int_equal(weft_name_take(text, &copy), 0);

    assert_string_equal(copy, text);
    weft_name_give(copy);
}

static void many_names_are_told_apart(void **state)
{
    (void)state;
    enum { MANY = 500 };
    static const char *copies[MANY];
    char text[16];
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(text, sizeof text, "view %d", i);
        assert_int_equal(weft_name_take(text, &copies[i]), 0);
    }

    for (int i = 0; i < MANY; i += 2)
        weft_name_give(copies[i]);

    for (int i = 0; i < MANY; i++) {
        const char *again = NULL;
        (void)snprintf(text, sizeof text, "view %d", i);
        assert_int_equal(weft_name_take(text, &again), i % 2 == 0 ? 0 : -EEXIST);
        weft_name_give(again);
    }
    for (int i = 1; i < MANY; i += 2)
        weft_name_give(copies[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_copied_and_free_again_when_it_is_given_back),
        cmocka_unit_test(a_name_in_use_is_refused),
        cmocka_unit_test(a_released_name_may_be_taken_while_the_copy_is_still_read),
        cmocka_unit_test(the_names_of_the_built_in_dispatchers_are_in_use),
        cmocka_unit_test(a_name_has_between_one_and_64_bytes),
        cmocka_unit_test(many_names_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
