/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include "symbol.h"

#define NAME_BYTES 96

/* Not exported, so dladdr() would not know it. */
static int hidden_from_the_linker(void *arg)
{
    return arg != NULL;
}

static const void *address_of(weft_fn fn)
{
    const void *address;
    memcpy(&address, &fn, sizeof address);
    return address;
}

static void a_static_function_has_its_name(void **state)
{
    (void)state;
    char name[NAME_BYTES];

    for (int i = 0; i < 2; i++) { /* the second time from memory */
        memset(name, 'x', sizeof name);
        assert_true(weft_symbol_find(address_of(hidden_from_the_linker), name, sizeof name));
        assert_string_equal(name, "hidden_from_the_linker");
    }
}

static void a_name_that_does_not_fit_is_cut(void **state)
{
    (void)state;
    char name[7];

    assert_true(weft_symbol_find(address_of(hidden_from_the_linker), name, sizeof name));

    assert_string_equal(name, "hidden");
}

static void where_no_function_begins_nothing_is_found(void **state)
{
    (void)state;
    char name[NAME_BYTES] = "as before";
    static int data;
    const char *inside = (const char *)address_of(hidden_from_the_linker) + 1;

    for (int i = 0; i < 2; i++) {
        assert_false(weft_symbol_find(inside, name, sizeof name));
        assert_false(weft_symbol_find(&data, name, sizeof name));
        assert_false(weft_symbol_find(name, name, sizeof name));
        assert_false(weft_symbol_find(NULL, name, sizeof name));
    }

    assert_string_equal(name, "as before");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(a_static_function_has_its_name),
        weft_unit_test(a_name_that_does_not_fit_is_cut),
        weft_unit_test(where_no_function_begins_nothing_is_found),
    };
    return berth_test_main(tests, NULL, NULL);
}
