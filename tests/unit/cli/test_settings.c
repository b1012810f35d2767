/* SPDX-License-Identifier: MIT
 *
 * Options of jobs and settings of dispatchers: what arrives at the broker, how it is shown, and
 * what is refused before anything is sent.
 */
#include "commands.h"

static void options_of_a_job_are_sent_and_shown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "submit -q -- first"), 0);
    assert_int_equal(run(f, "submit -q --group tenant --at 2027-01-31T10:30:00+01:00 --priority -5 "
                            "--queue-timeout 5m --deadline 1h --backoff 250ms --backoff-max 1m "
                            "--context tenant=blue --context empty= --after 1,1 --unique k "
                            "--on-conflict existing -- second"),
                     0);
    struct fake_job job = fake_broker_job(f->broker, 2);
    assert_string_equal(job.group, "tenant");
    assert_string_equal(job.unique, "k");
    assert_int_equal(job.priority, -5);
    assert_int_equal(job.on_conflict, 1);
    assert_int_equal(job.deadline_ms, 3600000);
    assert_int_equal(job.after_count, 2);

    assert_int_equal(run(f, "show 2 --json"), 0);
    assert_json(f, "d['group'] == 'tenant' and d['unique'] == 'k' and d['priority'] == -5 and "
                   "d['run_at'] == '2027-01-31T09:30:00.000000Z' and "
                   "d['deadline_at'] == '2026-01-01T01:00:00.000250Z' and "
                   "d['queue_timeout_ms'] == 300000 and d['backoff_ms'] == 250 and "
                   "d['backoff_max_ms'] == 60000 and d['after'] == [1, 1] and "
                   "d['context'] == {'tenant': 'blue', 'empty': ''}");
    assert_int_equal(run(f, "show 2"), 0);
    static const char *const lines[] = { "group       tenant\n", "unique      k\n",
                                         "after       1,1\n",    "queue time  5m\n",
                                         "backoff     250ms\n",  "backoff max 1m\n" };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (!strstr(out(f), lines[i]))
            fail_msg("'%s' has no line '%s'", out(f), lines[i]);

    assert_int_equal(run(f, "submit -q --delay 10s -- third"), 0);
    assert_int_equal(fake_broker_job(f->broker, 3).delay_ms, 10000);
}

static void what_is_out_of_range_is_refused_before_anything_is_sent(void **state)
{
    struct fixture *f = *state;
    const struct {
        const char *line, *extra, *says;
    } cases[] = {
        { "submit --delay 1s --at 2027-01-01T00:00:00Z -- date", "", "one of the two" },
        { "submit --delay 10 -- date", "", "--delay: '10'" },
        { "submit --at 2027-01-01 -- date", "", "--at: '2027-01-01'" },
        { "submit --at 1969-01-01T00:00:00Z -- date", "", "after 1970-01-01T00:00:00Z and up to" },
        { "submit --at 1970-01-01T00:00:00Z -- date", "", "--at: '1970-01-01T00:00:00Z'" },
        { "submit --at 9999-12-31T23:59:59-01:00 -- date", "", "up to 9999-12-31T23:59:59Z" },
        { "submit --priority 101 -- date", "", "--priority: '101'" },
        { "submit --priority high -- date", "", "--priority: 'high'" },
        { "submit --group @ -- date", "", "--group" },
        { "submit --queue-timeout 0s -- date", "", "--queue-timeout: '0s'" },
        { "submit --deadline 9999d -- date", "", "--deadline: '9999d'" },
        { "submit --backoff 2s --backoff-max 1s -- date", "",
          "--backoff: '2s' is longer than --backoff-max, which is 1s" },
        { "submit --context tenant -- date", "", "--context: 'tenant'" },
        { "submit --context =blue -- date", "", "--context: '=blue'" },
        { "submit --after 0 -- date", "", "--after: '0'" },
        { "submit --after 1, -- date", "", "--after: ''" },
        { "submit --after 1,x -- date", "", "--after: 'x'" },
        { "submit --after 000000000000000000000017 -- date", "", "--after: '...0000" },
        { "submit --context k=1 --context k=2 -- date", "", "context: 'k' stands twice" },
        { "submit --unique @ -- date", "", "--unique" },
        { "submit --on-conflict existing -- date", "", "with --unique" },
        { "submit --on-conflict reject -- date", "", "with --unique" },
        { "schedule set n --on-conflict reject", "", "a command is wanted, behind '--'" },
        { "schedule set n --priority 0", "", "a command is wanted, behind '--'" },
        { "schedule set n", "", "nothing to set: --cron" },
        { "submit --unique k --on-conflict keep -- date", "", "--on-conflict: 'keep'" },
        { "dispatcher set a --parent a/b", "", "--parent: 'a/b' is not a name" },
        { "dispatcher set a --weight 0", "", "--weight: '0'" },
        { "dispatcher set a --weight 1001", "", "--weight: '1001'" },
        { "dispatcher set a --group-limit -1", "", "--group-limit: '-1'" },
        { "dispatcher set a --rate 10", "", "--rate: '10' is no rate" },
        { "dispatcher set a --rate 0/s", "", "--rate: '0/s' is no rate" },
        { "dispatcher set a --burst 1000001", "", "--burst: '1000001'" },
        { "dispatcher set a --max-queued many", "", "--max-queued: 'many'" },
        { "dispatcher set a --hold both", "", "--hold: 'both'" },
        { "dispatcher set a --on-lost keep", "", "--on-lost: 'keep'" },
        { "dispatcher set a --jitter maybe", "", "--jitter: 'maybe'" },
        { "dispatcher set a --queue-timeout 5", "", "--queue-timeout: '5'" },
        { "dispatcher set a --deadline 5", "", "--deadline: '5'" },
        { "dispatcher set a --retention 0s", "", "--retention: '0s'" },
        { "dispatcher set a --retention-count 1000000001", "", "--retention-count: '1000000001'" },
        { "dispatcher set a --backoff 2s --backoff-max 1s", "",
          "--backoff: '2s' is longer than --backoff-max, which is 1s" },
        { "dispatcher set a --grace 2d", "", "from 0ms to 1d, is wanted, or none" },
        { "dispatcher set a --burst x", "", "from 0 to 1000000 is wanted, or none" },
        { "dispatcher set a --parent @", "", "a letter or digit, or none" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int code = run_with(f, cases[i].line, cases[i].extra, NULL);
        if (code != 2)
            fail_msg("'%s' ended with %d", cases[i].line, code);
        assert_says(f, cases[i].says);
        assert_one_line(process_err(&f->process));
        assert_string_equal(out(f), "");
    }
    assert_int_equal(fake_broker_seen(f->broker, FAKE_ANY), 0);
}

static void limits_of_a_dispatcher_are_set_and_shown(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run(f, "dispatcher show default --json"), 0);
    assert_json(f, "d['weight'] == 1 and d['hold'] == 'job' and d['on_lost'] == 'reclaim' and "
                   "d['jitter'] is True and d['retention_ms'] == 604800000 and "
                   "d['retention_count'] == 100000 and d['queue_timeout_ms'] == 0 and "
                   "d['deadline_ms'] == 0 and d['changed_by'] == 'broker' and "
                   "all(d[k] is None for k in 'parent group_limit rate burst max_queued'.split())");
    assert_int_equal(run(f, "dispatcher set mail --limit 5 --parent io --weight 3 --group-limit 2 "
                            "--rate 100/m --burst 10 --max-queued 1000 --hold running "
                            "--on-lost hold --jitter off --queue-timeout 5m --deadline 1h "
                            "--retention 1d --retention-count 0 --json"),
                     0);
    assert_json(f, "d['parent'] == 'io' and d['weight'] == 3 and d['group_limit'] == 2 and "
                   "d['rate'] == '100/m' and d['burst'] == 10 and d['max_queued'] == 1000 and "
                   "d['hold'] == 'running' and d['on_lost'] == 'hold' and d['jitter'] is False and "
                   "d['queue_timeout_ms'] == 300000 and d['deadline_ms'] == 3600000 and "
                   "d['retention_ms'] == 86400000 and d['retention_count'] == 0");
    assert_json(f,
                "d['changed_at'] == '2026-01-01T00:00:00.000250Z' and '@' in d['changed_by'] and "
                "d['remark'].startswith('what is above it')");
    assert_int_equal(run(f, "dispatcher show mail"), 0);
    assert_non_null(strstr(out(f), "remark          what is above it does not hold"));
    static const char *const lines[] = {
        "parent          io\n",      "weight          3\n",        "group limit     2\n",
        "rate            100/m\n",   "burst           10\n",       "max queued      1000\n",
        "hold            running\n", "on lost         hold\n",     "jitter          off\n",
        "queue timeout   5m\n",      "deadline        1h\n",       "retention       1d\n",
        "retention count 0\n",       "changed         2026-01-01",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (!strstr(out(f), lines[i]))
            fail_msg("'%s' has no line '%s'", out(f), lines[i]);

    assert_int_equal(run(f, "dispatcher set mail --parent none --group-limit none --rate none "
                            "--burst none --max-queued 0 --queue-timeout none --deadline none "
                            "--json"),
                     0);
    assert_json(f, "all(d[k] is None for k in 'parent group_limit rate burst max_queued'.split()) "
                   "and d['queue_timeout_ms'] == 0 and d['deadline_ms'] == 0 and "
                   "d['weight'] == 3 and d['remark'] is None");
    assert_int_equal(run(f, "dispatcher set mail --parent io"), 0);
    assert_says(f, "what is above it does not hold what is lost");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(options_of_a_job_are_sent_and_shown),
        TEST(what_is_out_of_range_is_refused_before_anything_is_sent),
        TEST(limits_of_a_dispatcher_are_set_and_shown),
    };
    return berth_test_main(tests, NULL, NULL);
}
