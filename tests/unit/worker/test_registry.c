/* SPDX-License-Identifier: MIT
 *
 * The names under which handlers are offered.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/registry.h"

static int nothing(struct berth_attempt *attempt, void *arg)
{
    (void)attempt;
    (void)arg;
    return 0;
}

static int registry_setup(void **state)
{
    *state = calloc(1, sizeof(struct registry));
    return *state ? 0 : -1;
}

static int registry_teardown(void **state)
{
    free(*state);
    return 0;
}

static void a_handler_is_found_by_its_name(void **state)
{
    struct registry *registry = *state;
    int arg = 0;
    const struct berth_handler_opts opts = { .stack_bytes = 128 << 10 };

    assert_ok(registry_add(registry, "mail", nothing, &arg, &opts, NULL));

    const struct registry_entry *entry = registry_find(registry, berth_slice_of("mail"));
    assert_non_null(entry);
    assert_string_equal(entry->name, "mail");
    assert_ptr_equal(entry->arg, &arg);
    assert_int_equal(entry->stack_bytes, 128 << 10);
    assert_null(registry_find(registry, berth_slice_of("mai")));
    assert_null(registry_find(registry, berth_slice_of("mails")));
}

static void a_name_is_given_once(void **state)
{
    struct registry *registry = *state;
    struct berth_error err;
    assert_ok(registry_add(registry, "mail", nothing, NULL, NULL, NULL));

    assert_rc(registry_add(registry, "mail", nothing, NULL, NULL, &err), -EEXIST);

    assert_non_null(strstr(err.message, "handler 'mail' is registered twice"));
    assert_int_equal(registry->count, 1);
}

static void a_malformed_name_is_refused_and_named(void **state)
{
    static const char *const names[] = { "", "-mail", "mail one", "m\xc3\xa4il", "a/b" };
    struct registry *registry = *state;
    struct berth_error err;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_rc(registry_add(registry, names[i], nothing, NULL, NULL, &err), BERTH_EVALUE);
        assert_non_null(strstr(err.message, "handler"));
    }
    char name[BERTH_NAME_BYTES_MAX + 2] = "";
    memset(name, 'a', BERTH_NAME_BYTES_MAX + 1);
    assert_rc(registry_add(registry, name, nothing, NULL, NULL, &err), BERTH_EVALUE);
    name[BERTH_NAME_BYTES_MAX] = '\0';
    assert_ok(registry_add(registry, name, nothing, NULL, NULL, &err));
}

static void exec_is_no_name_for_a_function(void **state)
{
    struct berth_error err;

    assert_rc(registry_add(*state, "exec", nothing, NULL, NULL, &err), BERTH_EVALUE);

    assert_non_null(strstr(err.message, "exec"));
}

static void what_cannot_run_is_refused(void **state)
{
    struct berth_error err;
    const struct berth_handler_opts small = { .stack_bytes = 100 },
                                    large = { .stack_bytes = (size_t)2 << 30 },
                                    later = { .reserved = { 0, 1 } };

    assert_rc(registry_add(*state, "a", NULL, NULL, NULL, &err), -EINVAL);
    assert_rc(registry_add(*state, "a", nothing, NULL, &small, &err), -EINVAL);
    assert_non_null(strstr(err.message, "stack_bytes 100"));
    assert_rc(registry_add(*state, "a", nothing, NULL, &large, &err), -EINVAL);
    assert_rc(registry_add(*state, "a", nothing, NULL, &later, &err), -EINVAL);
    assert_non_null(strstr(err.message, "reserved[1]"));
}

static void a_full_registry_says_so(void **state)
{
    struct registry *registry = *state;
    char name[32];
    for (int i = 0; i < REGISTRY_HANDLERS_MAX; i++) {
        (void)snprintf(name, sizeof name, "h%d", i);
        assert_ok(registry_add(registry, name, nothing, NULL, NULL, NULL));
    }

    assert_rc(registry_add(registry, "one-more", nothing, NULL, NULL, NULL), BERTH_EFULL);
}

int main(void)
{
#define REGISTRY_TEST(fact) cmocka_unit_test_setup_teardown(fact, registry_setup, registry_teardown)
    const struct CMUnitTest tests[] = {
        REGISTRY_TEST(a_handler_is_found_by_its_name),
        REGISTRY_TEST(a_name_is_given_once),
        REGISTRY_TEST(a_malformed_name_is_refused_and_named),
        REGISTRY_TEST(exec_is_no_name_for_a_function),
        REGISTRY_TEST(what_cannot_run_is_refused),
        REGISTRY_TEST(a_full_registry_says_so),
    };
    return berth_test_main(tests, NULL, NULL);
}
