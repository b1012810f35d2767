/* SPDX-License-Identifier: MIT
 *
 * Dispatchers in the configuration: what may stand there, and what becomes of it.
 */
#include "support/berthtest.h"

#include <string.h>

#include "base/text.h"
#include "broker/seed.h"

struct fixture {
    struct berth_conf conf;
    struct berth_seeds seeds;
    struct berth_error err;
};

static struct fixture fixture;

static int setup(void **state)
{
    berth_conf_init(&fixture.conf);
    berth_seeds_init(&fixture.seeds);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    berth_seeds_fini(&f->seeds);
    berth_conf_fini(&f->conf);
    return 0;
}

static int read_text(struct fixture *f, const char *text)
{
    const struct berth_conf_section section = {
        .kind = "dispatcher",
        .is_named = true,
        .settings = berth_seed_settings,
        .settings_count = berth_seed_settings_count,
        .begin = berth_seeds_begin,
    };
    int rc =
        berth_conf_parse(&f->conf, "x.conf", berth_slice_of(text), &section, 1, &f->seeds, &f->err);
    return rc < 0 ? rc : berth_seeds_check(&f->seeds, &f->err);
}

static struct berth_seed *first(struct fixture *f)
{
    return berth_container_of(berth_list_first(&f->seeds.list), struct berth_seed, node);
}

static void a_section_becomes_the_event_that_makes_it(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "[dispatcher \"newsletter\"]\n"
                                  "limit = 5\nmax_attempts = 3\nbackoff = 250ms\n"
                                  "backoff_max = 1m\ntimeout = 30s\ngrace = 0s\n"),
                     0);

    struct berth_event event;
    berth_seed_event(first(f), &event);

    const struct berth_ev_dispatcher_set *set = &event.dispatcher_set;
    assert_int_equal(event.type, BERTH_EV_DISPATCHER_SET);
    assert_int_equal(set->peer, 0);
    assert_true(berth_slice_is_equal(set->name, berth_slice_of("newsletter")));
    assert_true(set->has_limit);
    assert_int_equal(set->limit.kind, BERTH_LIMIT_NUMBER);
    assert_int_equal(set->limit.value, 5);
    assert_true(set->has_max_attempts);
    assert_int_equal(set->max_attempts, 3);
    assert_true(set->has_backoff);
    assert_int_equal(set->backoff_ms, 250);
    assert_true(set->has_backoff_max);
    assert_int_equal(set->backoff_ms_max, 60000);
    assert_true(set->has_timeout);
    assert_int_equal(set->timeout_ms, 30000);
    assert_true(set->has_grace);
    assert_int_equal(set->grace_ms, 0);
}

static void what_is_not_given_is_left_to_the_broker(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "[dispatcher \"a\"]\nlimit = cores\n"), 0);

    struct berth_event event;
    berth_seed_event(first(f), &event);

    const struct berth_ev_dispatcher_set *set = &event.dispatcher_set;
    assert_int_equal(set->limit.kind, BERTH_LIMIT_CORES);
    assert_false(set->has_max_attempts || set->has_backoff || set->has_backoff_max ||
                 set->has_timeout || set->has_grace);
}

static void assert_bad(struct fixture *f, const char *text, const char *sentence)
{
    berth_seeds_fini(&f->seeds);
    assert_int_equal(read_text(f, text), BERTH_ECONF);
    if (!strstr(f->err.message, sentence))
        fail_msg("'%s' is not in '%s'", sentence, f->err.message);
}

static void each_bad_line_is_named(void **state)
{
    struct fixture *f = *state;
    assert_bad(f, "[dispatcher \"a\"]\nlimit = -5\n", "x.conf:2: limit: '-5' is no limit");
    assert_bad(f, "[dispatcher \"a b\"]\nlimit = 5\n", "x.conf:1: ");
    assert_bad(f, "[dispatcher \"a\"]\nlimit = 5\nbackoff = 5\n", "x.conf:3: backoff");
    assert_bad(f, "[dispatcher \"a\"]\nlimit = 5\nmax_attempts = 0\n", "x.conf:3: max_attempts");
    assert_bad(f, "[dispatcher \"a\"]\nlimit = 5\nlimits = 5\n", "x.conf:3: ");
    assert_bad(f, "[dispatcher \"a\"]\nmax_attempts = 5\n", "dispatcher 'a' has no limit");
    assert_bad(f, "[dispatcher \"a\"]\nlimit = 5\nbackoff = 2s\nbackoff_max = 1s\n",
               "dispatcher 'a': backoff is longer than backoff_max");
    assert_bad(f, "[dispatcher \"a\"]\nlimit = 5\nparent = default\n",
               "x.conf:3: parent is not supported by this version");
    assert_bad(f, "[dispatcher \"a\"]\nlimit = 5\nrate = 10\n",
               "x.conf:3: rate is not supported by this version");
}

static void differences_name_what_is_in_force_and_what_is_written(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "[dispatcher \"a\"]\nlimit = 5\nmax_attempts = 3\n"
                                  "timeout = 30s\n"),
                     0);
    struct berth_dispatcher_record record = {
        .name = "a",
        .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 5 },
        .max_attempts = 3,
        .timeout_ms = 30000,
        .grace_ms = 5000,
    };
    BERTH_AUTO(berth_buf) buf = berth_buf_new(1024);

    berth_seed_differences(first(f), &record, buf);
    assert_string_equal(berth_buf_text(buf), "");

    record.limit.value = 7;
    record.max_attempts = 1;
    record.timeout_ms = 0;
    berth_seed_differences(first(f), &record, buf);
    assert_string_equal(berth_buf_text(buf),
                        "limit 7, not 5, max_attempts 1, not 3, timeout 0ms, not 30s");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_section_becomes_the_event_that_makes_it),
        TEST(what_is_not_given_is_left_to_the_broker),
        TEST(each_bad_line_is_named),
        TEST(differences_name_what_is_in_force_and_what_is_written),
    };
    return berth_test_main(tests, NULL, NULL);
}
