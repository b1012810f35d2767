/* SPDX-License-Identifier: MIT
 *
 * Dispatchers in the configuration: what may stand there, and what becomes of it.
 */
#include "support/berthtest.h"

#include <stdio.h>
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
    assert_true(berth_slice_is_equal(set->changed_by, berth_slice_of("config")));
}

static void limits_stand_in_the_file_under_their_names(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "[dispatcher \"newsletter\"]\n"
                                  "limit = 5\nparent = default\nweight = 3\ngroup_limit = 2\n"
                                  "rate = 100/m\nburst = 10\nmax_queued = 1000\n"
                                  "hold = running\non_lost = hold\njitter = off\n"
                                  "queue_timeout = 5m\ndeadline = 1h\nretention = 1d\n"
                                  "retention_count = 0\n"),
                     0);

    struct berth_event event;
    berth_seed_event(first(f), &event);

    const struct berth_ev_dispatcher_set *set = &event.dispatcher_set;
    assert_true(set->has_parent && set->has_weight && set->has_group_limit && set->has_rate &&
                set->has_burst && set->has_max_queued && set->has_hold && set->has_on_lost &&
                set->has_jitter && set->has_queue_timeout && set->has_deadline &&
                set->has_retention && set->has_retention_count);
    assert_true(berth_slice_is_equal(set->parent, berth_slice_of("default")));
    assert_int_equal(set->weight, 3);
    assert_int_equal(set->group_limit, 2);
    assert_int_equal(set->rate_count, 100);
    assert_int_equal(set->rate_ms, 60000);
    assert_int_equal(set->burst, 10);
    assert_int_equal(set->max_queued, 1000);
    assert_int_equal(set->hold, BERTH_HOLD_RUNNING);
    assert_int_equal(set->on_lost, BERTH_ON_LOST_HOLD);
    assert_true(set->no_jitter);
    assert_int_equal(set->queue_timeout_ms, 300000);
    assert_int_equal(set->deadline_ms, 3600000);
    assert_int_equal(set->retention_ms, 86400000);
    assert_int_equal(set->retention_count, 0);
}

static void none_is_no_parent_and_no_rate(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "[dispatcher \"a\"]\nlimit = 5\nparent = none\nrate = none\n"
                                  "hold = job\non_lost = reclaim\njitter = on\n"),
                     0);

    struct berth_event event;
    berth_seed_event(first(f), &event);

    const struct berth_ev_dispatcher_set *set = &event.dispatcher_set;
    assert_true(set->has_parent && set->has_rate && set->has_hold && set->has_jitter);
    assert_int_equal(set->parent.bytes, 0);
    assert_int_equal(set->rate_count, 0);
    assert_int_equal(set->rate_ms, 0);
    assert_int_equal(set->hold, BERTH_HOLD_JOB);
    assert_int_equal(set->on_lost, BERTH_ON_LOST_RECLAIM);
    assert_false(set->no_jitter);
}

static void none_is_0_where_the_command_line_says_so(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "[dispatcher \"a\"]\nlimit = 5\nbackoff = none\ntimeout = none\n"
                                  "grace = none\nqueue_timeout = none\ndeadline = none\n"
                                  "group_limit = none\nburst = none\nmax_queued = none\n"
                                  "retention_count = none\n"),
                     0);

    const struct berth_seed *seed = first(f);

    assert_int_equal(seed->backoff_ms, 0);
    assert_int_equal(seed->timeout_ms, 0);
    assert_int_equal(seed->grace_ms, 0);
    assert_int_equal(seed->queue_timeout_ms, 0);
    assert_int_equal(seed->deadline_ms, 0);
    assert_int_equal(seed->group_limit, 0);
    assert_int_equal(seed->burst, 0);
    assert_int_equal(seed->max_queued, 0);
    assert_int_equal(seed->retention_count, 0);
}

static void parents_are_made_before_their_children(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "[dispatcher \"c\"]\nlimit = 1\nparent = b\n"
                                  "[dispatcher \"d\"]\nlimit = 1\n"
                                  "[dispatcher \"b\"]\nlimit = 1\nparent = a\n"
                                  "[dispatcher \"a\"]\nlimit = 1\nparent = default\n"),
                     0);
    char order[8] = "";
    BERTH_LIST_FOREACH (node, &f->seeds.list)
        order[strlen(order)] = berth_container_of(node, struct berth_seed, node)->name[0];
    assert_string_equal(order, "dabc");
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
    assert_false(set->has_parent || set->has_weight || set->has_group_limit || set->has_rate ||
                 set->has_burst || set->has_max_queued || set->has_hold || set->has_on_lost ||
                 set->has_jitter || set->has_queue_timeout || set->has_deadline ||
                 set->has_retention || set->has_retention_count);
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
    assert_bad(f, "[dispatcher \"a\"]\nlimit = 5\nbackoff = 11m\n",
               "dispatcher 'a': backoff is longer than backoff_max: 11m, allowed is 10m");
    assert_bad(f, "[dispatcher \"a\"]\nlimit = 5\nbackoff_max = 500ms\n",
               "dispatcher 'a': backoff is longer than backoff_max: 1s, allowed is 500ms");
    static const char *const lines[] = {
        "parent = a b",
        "weight = 0",
        "weight = 1001",
        "group_limit = -1",
        "rate = 10",
        "burst = 1000001",
        "max_queued = x",
        "hold = both",
        "on_lost = keep",
        "jitter = maybe",
        "deadline = 5",
        "retention = 0s",
        "queue_timeout = 999999d",
        "retention_count = 1000000001",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[120], sentence[60];
        (void)snprintf(text, sizeof text, "[dispatcher \"a\"]\nlimit = 5\n%s\n", lines[i]);
        (void)snprintf(sentence, sizeof sentence, "x.conf:3: %.*s: '", (int)strcspn(lines[i], " "),
                       lines[i]);
        assert_bad(f, text, sentence);
    }
    assert_bad(f, "[dispatcher \"a\"]\nlimit = 5\nparent = a\n",
               "dispatcher 'a': its parent 'a' stands below it");
    assert_bad(f,
               "[dispatcher \"a\"]\nlimit = 5\nparent = b\n"
               "[dispatcher \"b\"]\nlimit = 5\nparent = a\n",
               "dispatcher 'a': its parent 'b' stands below it");
}

static void differences_name_what_is_in_force_and_what_is_written(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "[dispatcher \"a\"]\nlimit = 5\nmax_attempts = 3\n"
                                  "timeout = 30s\n"),
                     0);
    struct berth_dispatcher_view have = { .record = {
                                              .name = "a",
                                              .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 5 },
                                              .max_attempts = 3,
                                              .timeout_ms = 30000,
                                              .grace_ms = 5000,
                                          } };
    BERTH_AUTO(berth_buf) buf = berth_buf_new(1024);

    berth_seed_differences(first(f), &have, buf);
    assert_string_equal(berth_buf_text(buf), "");

    have.record.limit.value = 7;
    have.record.max_attempts = 1;
    have.record.timeout_ms = 0;
    berth_seed_differences(first(f), &have, buf);
    assert_string_equal(berth_buf_text(buf),
                        "limit 7, not 5, max_attempts 1, not 3, timeout 0ms, not 30s");
}

static void differences_of_limits_are_named_as_well(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(read_text(f, "[dispatcher \"a\"]\nlimit = 5\nparent = io\nweight = 2\n"
                                  "rate = 10/s\nhold = running\njitter = off\n"
                                  "retention_count = 7\nmax_queued = 0\n"),
                     0);
    struct berth_dispatcher_view have = { .record = {
                                              .name = "a",
                                              .limit = { .kind = BERTH_LIMIT_NUMBER, .value = 5 },
                                              .weight = 1,
                                              .retention_count = 100000,
                                              .max_queued = 9,
                                          } };
    BERTH_AUTO(berth_buf) buf = berth_buf_new(1024);

    berth_seed_differences(first(f), &have, buf);
    assert_string_equal(berth_buf_text(buf),
                        "parent none, not io, weight 1, not 2, rate none, not 10/s, "
                        "max_queued 9, not 0, hold job, not running, jitter on, not off, "
                        "retention_count 100000, not 7");

    berth_buf_clear(buf);
    have.parent = berth_slice_of("io");
    have.record.weight = 2;
    have.record.rate_count = 10;
    have.record.rate_ms = 1000;
    have.record.hold = BERTH_HOLD_RUNNING;
    have.record.no_jitter = true;
    have.record.retention_count = 7;
    have.record.max_queued = 0;
    berth_seed_differences(first(f), &have, buf);
    assert_string_equal(berth_buf_text(buf), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_section_becomes_the_event_that_makes_it),
        TEST(what_is_not_given_is_left_to_the_broker),
        TEST(each_bad_line_is_named),
        TEST(limits_stand_in_the_file_under_their_names),
        TEST(none_is_no_parent_and_no_rate),
        TEST(none_is_0_where_the_command_line_says_so),
        TEST(parents_are_made_before_their_children),
        TEST(differences_name_what_is_in_force_and_what_is_written),
        TEST(differences_of_limits_are_named_as_well),
    };
    return berth_test_main(tests, NULL, NULL);
}
