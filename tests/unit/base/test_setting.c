/* SPDX-License-Identifier: MIT
 *
 * Settings: each type checks its text and writes its member.
 */
#include "support/berthtest.h"

#include <stdbool.h>
#include <string.h>

#include "base/setting.h"

struct target {
    bool flag;
    const char *text;
    struct berth_text_list list;
    uint64_t u64;
    int64_t i64;
    int choice;
};

#define ROW(type_, member_, ...)                                                                   \
    {                                                                                              \
        .name = "max_attempts", .type = (type_),                                                   \
        .offset = offsetof(struct target, member_) __VA_OPT__(, ) __VA_ARGS__                      \
    }

static int apply(const struct berth_setting *setting, const char *text, struct target *target,
                 struct berth_error *err)
{
    return berth_setting_apply(setting, "--max-attempts", text, target, err);
}

static void texts_are_borrowed_as_they_are(void **state)
{
    (void)state;
    static const struct berth_setting setting = ROW(BERTH_SETTING_TEXT, text);
    struct target target = { .text = NULL };

    assert_rc(apply(&setting, " any \n", &target, NULL), 0);

    assert_string_equal(target.text, " any \n");
}

static void names_keys_and_urls_are_checked(void **state)
{
    (void)state;
    static const struct berth_setting name = ROW(BERTH_SETTING_NAME, text);
    static const struct berth_setting key = ROW(BERTH_SETTING_KEY, text);
    static const struct berth_setting url = ROW(BERTH_SETTING_URL, text);
    struct target target = { .text = "before" };

    assert_rc(apply(&name, "a b", &target, NULL), BERTH_EVALUE);
    assert_rc(apply(&key, "", &target, NULL), BERTH_EVALUE);
    assert_rc(apply(&url, "nowhere", &target, NULL), BERTH_EVALUE);
    assert_string_equal(target.text, "before");
    assert_rc(apply(&name, "ab", &target, NULL), 0);
    assert_rc(apply(&key, "a b", &target, NULL), 0);
    assert_rc(apply(&url, "ipc://x", &target, NULL), 0);
    assert_string_equal(target.text, "ipc://x");
}

static void a_list_collects_up_to_its_maximum(void **state)
{
    (void)state;
    static const struct berth_setting setting = ROW(BERTH_SETTING_LIST, list);
    struct target target = { .list = { .count = 0 } };
    for (int i = 0; i < BERTH_TEXT_LIST_MAX; i++)
        assert_rc(apply(&setting, i == 1 ? "second" : "x", &target, NULL), 0);

    struct berth_error err;
    assert_rc(apply(&setting, "x", &target, &err), BERTH_EVALUE);

    assert_string_equal(err.message, "--max-attempts is given more than 64 times");
    assert_int_equal(target.list.count, BERTH_TEXT_LIST_MAX);
    assert_string_equal(target.list.items[1], "second");
}

static void numbers_keep_to_their_row_or_their_type(void **state)
{
    (void)state;
    static const struct berth_setting bound = ROW(BERTH_SETTING_U64, u64, .min = 1, .max = 9);
    static const struct berth_setting unbound = ROW(BERTH_SETTING_U64, u64);
    static const struct berth_setting priority =
        ROW(BERTH_SETTING_I64, i64, .min = -100, .max = 100);
    static const struct berth_setting any = ROW(BERTH_SETTING_I64, i64);
    struct target target = { .u64 = 0 };

    assert_rc(apply(&bound, "9", &target, NULL), 0);
    assert_true(target.u64 == 9);
    assert_rc(apply(&bound, "0", &target, NULL), BERTH_EVALUE);
    assert_rc(apply(&bound, "10", &target, NULL), BERTH_EVALUE);
    assert_rc(apply(&unbound, "18446744073709551615", &target, NULL), 0);
    assert_true(target.u64 == UINT64_MAX);
    assert_rc(apply(&priority, "-100", &target, NULL), 0);
    assert_true(target.i64 == -100);
    assert_rc(apply(&priority, "-101", &target, NULL), BERTH_EVALUE);
    assert_rc(apply(&any, "-9223372036854775808", &target, NULL), 0);
    assert_true(target.i64 == INT64_MIN);
}

static void durations_sizes_and_flags_have_their_own_words(void **state)
{
    (void)state;
    static const struct berth_setting duration =
        ROW(BERTH_SETTING_DURATION, i64, .min = 1, .max = 1000);
    static const struct berth_setting bytes = ROW(BERTH_SETTING_BYTES, u64, .max = 1 << 20);
    static const struct berth_setting flag = ROW(BERTH_SETTING_FLAG, flag);
    struct target target = { .u64 = 0 };

    assert_rc(apply(&duration, "1s", &target, NULL), 0);
    assert_true(target.i64 == 1000);
    assert_rc(apply(&duration, "2s", &target, NULL), BERTH_EVALUE);
    assert_rc(apply(&bytes, "1MiB", &target, NULL), 0);
    assert_true(target.u64 == 1 << 20);
    assert_rc(apply(&bytes, "2MiB", &target, NULL), BERTH_EVALUE);
    assert_rc(apply(&flag, "yes", &target, NULL), 0);
    assert_true(target.flag);
    assert_rc(apply(&flag, "maybe", &target, NULL), BERTH_EVALUE);
}

static void none_is_0_for_a_setting_that_has_it(void **state)
{
    (void)state;
    static const struct berth_setting with =
        ROW(BERTH_SETTING_DURATION, i64, .max = 1000, .has_none = true);
    static const struct berth_setting without = ROW(BERTH_SETTING_DURATION, i64, .max = 1000);
    struct target target = { .i64 = 7 };
    struct berth_error err;

    assert_rc(apply(&without, "none", &target, &err), BERTH_EVALUE);
    assert_int_equal(target.i64, 7);
    assert_rc(apply(&with, "none", &target, &err), 0);
    assert_int_equal(target.i64, 0);
    assert_rc(apply(&with, "5", &target, &err), BERTH_EVALUE);
    assert_string_equal(err.message, "--max-attempts: '5' is not allowed; a number with a unit "
                                     "(ms s m h d), from 0ms to 1s, is wanted, or none");
    assert_rc(apply(&with, "5", &target, NULL), BERTH_EVALUE);
}

static void a_choice_is_one_of_its_words(void **state)
{
    (void)state;
    static const char *const words[] = { "reject", "existing", NULL };
    static const struct berth_setting setting = ROW(BERTH_SETTING_CHOICE, choice, .choices = words);
    struct target target = { .choice = 7 };
    struct berth_error err;

    assert_rc(apply(&setting, "existing", &target, &err), 0);
    assert_int_equal(target.choice, 1);
    assert_rc(apply(&setting, "replace", &target, &err), BERTH_EVALUE);
    assert_string_equal(
        err.message, "--max-attempts: 'replace' is not allowed; one of reject, existing is wanted");
    assert_rc(apply(&setting, "exisitng", &target, &err), BERTH_EVALUE);
    assert_string_equal(err.message, "--max-attempts: 'exisitng' is not allowed; one of reject, "
                                     "existing is wanted; did you mean 'existing'?");
    assert_int_equal(target.choice, 1);
}

static int only_short(const char *what, const char *text, struct berth_error *err)
{
    return strlen(text) < 4 ? 0 : berth_fail(err, BERTH_EVALUE, "%s: too long", what);
}

static void a_row_can_check_further(void **state)
{
    (void)state;
    static const struct berth_setting setting = ROW(BERTH_SETTING_TEXT, text, .check = only_short);
    struct target target = { .text = "before" };
    struct berth_error err;

    assert_rc(apply(&setting, "long text", &target, &err), BERTH_EVALUE);
    assert_string_equal(err.message, "--max-attempts: too long");
    assert_string_equal(target.text, "before");
    assert_rc(apply(&setting, "abc", &target, &err), 0);
}

static void a_name_has_dashes_on_the_command_line(void **state)
{
    (void)state;
    static const struct berth_setting setting = ROW(BERTH_SETTING_TEXT, text);
    char flag[BERTH_FLAG_TEXT_MAX];

    assert_string_equal(berth_setting_flag(&setting, flag), "--max-attempts");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_borrowed_as_they_are),
        cmocka_unit_test(names_keys_and_urls_are_checked),
        cmocka_unit_test(a_list_collects_up_to_its_maximum),
        cmocka_unit_test(numbers_keep_to_their_row_or_their_type),
        cmocka_unit_test(durations_sizes_and_flags_have_their_own_words),
        cmocka_unit_test(none_is_0_for_a_setting_that_has_it),
        cmocka_unit_test(a_choice_is_one_of_its_words),
        cmocka_unit_test(a_row_can_check_further),
        cmocka_unit_test(a_name_has_dashes_on_the_command_line),
    };
    return berth_test_main(tests, NULL, NULL);
}
