/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <stdio.h>

struct seen {
    char in_body[200], in_child[200], in_early_child[200], behind[200];
    int rc, other_rc, count;
};

static void append(void *arg, const char *key, const char *value)
{
    char *text = arg;
    size_t used = strlen(text);
    (void)snprintf(text + used, 200 - used, "%s=%s ", key, value);
}

static int collect(void *arg)
{
    weft_field_each(append, arg);
    return 0;
}

static int set_and_launch(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope outer, inner;
    weft_scope_open(&outer);
    (void)weft_scope_field(&outer, "tenant", "acme");
    weft_launch(&outer, NULL, collect, seen->in_early_child);
    (void)weft_scope_field(&outer, "job", "7");
    weft_scope_open(&inner);
    char value[] = "8";
    (void)weft_scope_field(&inner, "job", value);
    value[0] = 'x'; /* it was copied */
    weft_launch(&inner, NULL, collect, seen->in_child);
    weft_field_each(append, seen->in_body);
    seen->rc = strcmp(weft_field_find("job"), "8");
    seen->other_rc = weft_field_find("nothing") != NULL;
    int rc = weft_scope_close(&inner, 0);
    weft_field_each(append, seen->behind);
    return weft_scope_close(&outer, rc);
}

static void fields_are_seen_inside_and_inherited_as_they_were_at_launch(void **state)
{
    (void)state;
    struct seen seen = { .rc = -1 };

    assert_int_equal(weft_run(set_and_launch, &seen), 0);

    assert_string_equal(seen.in_body, "job=8 job=7 tenant=acme ");
    assert_string_equal(seen.in_child, "job=8 job=7 tenant=acme ");
    assert_string_equal(seen.in_early_child, "tenant=acme ");
    assert_string_equal(seen.behind, "job=7 tenant=acme ");
    assert_int_equal(seen.rc, 0);
    assert_int_equal(seen.other_rc, 0);
}

static int set_too_many(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    while ((seen->rc = weft_scope_field(&scope, "key", "value")) == 0)
        seen->count++;
    return weft_scope_close(&scope, 0);
}

static int set_too_large(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    char value[WEFT_FIELDS_BYTES_MAX + 1];
    memset(value, 'v', sizeof value);
    value[WEFT_FIELDS_BYTES_MAX] = '\0';
    weft_scope_open(&scope);
    seen->rc = weft_scope_field(&scope, "k", value);
    seen->other_rc = weft_scope_field(&scope, "k", value + 1); /* one byte less: just fits */
    return weft_scope_close(&scope, 0);
}

static void there_is_a_limit_in_number_and_in_bytes(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(set_too_many, &seen), 0);
    assert_int_equal(seen.rc, -E2BIG);
    assert_int_equal(seen.count, WEFT_FIELDS_MAX);

    assert_int_equal(weft_run(set_too_large, &seen), 0);
    assert_int_equal(seen.rc, -E2BIG);
    assert_int_equal(seen.other_rc, 0);
}

static int set_bad(void *arg)
{
    struct seen *seen = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    seen->rc = weft_scope_field(&scope, NULL, "v");
    seen->other_rc = weft_scope_field(&scope, "", "v");
    seen->count = weft_scope_field(&scope, "k", NULL);
    return weft_scope_close(&scope, 0);
}

static void no_key_or_no_value_is_einval(void **state)
{
    (void)state;
    struct seen seen = { .rc = 0 };

    assert_int_equal(weft_run(set_bad, &seen), 0);

    assert_int_equal(seen.rc, -EINVAL);
    assert_int_equal(seen.other_rc, -EINVAL);
    assert_int_equal(seen.count, -EINVAL);
}

static void a_plain_thread_has_no_context(void **state)
{
    (void)state;
    char text[200] = "";
    assert_null(weft_field_find("job"));
    weft_field_each(append, text);
    assert_string_equal(text, "");
}

static int set_on_outer(void *arg)
{
    (void)arg;
    struct weft_scope outer, inner;
    weft_scope_open(&outer);
    weft_scope_open(&inner);
    return weft_scope_field(&outer, "k", "v");
}

static int run_set_on_outer(void *arg)
{
    return weft_run(set_on_outer, arg);
}

static void a_field_that_nobody_would_see_ends_the_program(void **state)
{
    (void)state;
    assert_dies(run_set_on_outer, NULL, "is not the caller's innermost");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(fields_are_seen_inside_and_inherited_as_they_were_at_launch),
        weft_unit_test(there_is_a_limit_in_number_and_in_bytes),
        weft_unit_test(no_key_or_no_value_is_einval),
        weft_unit_test(a_plain_thread_has_no_context),
        weft_unit_test(a_field_that_nobody_would_see_ends_the_program),
    };
    return berth_test_main(tests, NULL, NULL);
}
