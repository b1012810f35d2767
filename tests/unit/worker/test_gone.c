/* SPDX-License-Identifier: MIT
 *
 * Certificates: kept, repeated, acknowledged, bounded.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "translate_broker.h"
#include "worker/net/gone.h"

#define SESSION ((UINT64_C(3) << 40) + 1)
#define ATTEMPT ((UINT64_C(3) << 40) + 9)

static const uint8_t nonce[16] = "0123456789abcde";

struct fixture {
    struct broker *broker;
    struct gone_desk *desk;
    int never_fd; /* never readable */
    struct gone_news news;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->broker = broker_new();
    f->desk = gone_desk_new(broker_url(f->broker), nonce);
    assert_non_null(f->desk);
    f->never_fd = eventfd(0, EFD_CLOEXEC);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gone_desk_free(f->desk);
    broker_free(f->broker);
    (void)close(f->never_fd);
    free(f);
    return 0;
}

static int64_t now_ms(void)
{
    return berth_clock_monotonic_ms();
}

static void add(struct fixture *f, uint64_t session, uint32_t child)
{
    struct gone_notice notice = {
        .session = session, .child = child, .cause = GONE_BY_EXIT, .status = 1
    };
    assert_ok(gone_add(f->desk, &notice, now_ms()));
}

static void turn(struct fixture *f)
{
    gone_wait(f->desk, f->never_fd, 5);
    gone_turn(f->desk, now_ms(), &f->news);
}

/* Turns until the broker hears one. */
static struct heard_gone await_gone(struct fixture *f)
{
    struct heard_gone gone;
    int64_t deadline_ms = now_ms() + BROKER_DEADLINE_MS;
    while (!broker_poll_gone(f->broker, 0, &gone)) {
        assert_true(now_ms() < deadline_ms);
        turn(f);
    }
    return gone;
}

static void await_count(struct fixture *f, size_t count)
{
    int64_t deadline_ms = now_ms() + BROKER_DEADLINE_MS;
    while (gone_count(f->desk) != count) {
        assert_true(now_ms() < deadline_ms);
        turn(f);
    }
}

static void await_trouble(struct fixture *f)
{
    int64_t deadline_ms = now_ms() + BROKER_DEADLINE_MS;
    do {
        assert_true(now_ms() < deadline_ms);
        turn(f);
    } while (f->news.trouble.code == 0);
}

static void an_idle_desk_has_nothing_to_do(void **state)
{
    struct fixture *f = *state;
    gone_turn(f->desk, now_ms(), &f->news);
    assert_int_equal(gone_count(f->desk), 0);
    assert_true(gone_next_deadline_ms(f->desk) == INT64_MAX);
}

static void everything_of_a_certificate_arrives(void **state)
{
    struct fixture *f = *state;
    struct fence_attempt attempts[] = {
        { .attempt = ATTEMPT + 5, .job = 50, .number = 3 },
        { .attempt = ATTEMPT, .job = 7, .number = 0 },
    };
    struct gone_notice notice = { .session = SESSION,
                                  .child = 4,
                                  .cause = GONE_BY_FENCE,
                                  .status = -3,
                                  .attempts = attempts,
                                  .count = 2 };

    assert_ok(gone_add(f->desk, &notice, now_ms()));

    struct heard_gone gone = await_gone(f);
    assert_int_equal(gone.session, SESSION);
    assert_memory_equal(gone.nonce, nonce, sizeof nonce);
    assert_int_equal(gone.child, 4);
    assert_int_equal(gone.cause, GONE_BY_FENCE);
    assert_int_equal(gone.status, -3);
    assert_int_equal(gone.count, 2);
    assert_int_equal(gone.attempts[0], ATTEMPT);
    assert_int_equal(gone.jobs[0], 7);
    assert_int_equal(gone.numbers[0], 0);
    assert_int_equal(gone.attempts[1], ATTEMPT + 5);
    assert_int_equal(gone.jobs[1], 50);
    assert_int_equal(gone.numbers[1], 3);
}

static void each_is_acknowledged_by_itself(void **state)
{
    struct fixture *f = *state;
    add(f, SESSION, 1);
    add(f, 0, 2);
    struct heard_gone first = await_gone(f), second = await_gone(f);
    while (second.child == first.child)
        second = await_gone(f);
    assert_int_equal(first.child + second.child, 3);

    broker_acknowledge(f->broker, &(struct heard_gone){ .session = SESSION }, true);
    await_count(f, 1);
    while (await_gone(f).child != 2) /* copies of the other one may still be under way */
        continue;
    second.child = 2;
    broker_acknowledge(f->broker, &second, false);
    await_count(f, 0);

    assert_int_equal(f->news.acknowledged_count, 1);
    assert_true(gone_next_deadline_ms(f->desk) == INT64_MAX);
}

static void an_acknowledgement_for_another_keeper_changes_nothing(void **state)
{
    struct fixture *f = *state;
    add(f, 0, 1);
    struct heard_gone other = await_gone(f);
    other.nonce[0] ^= 1;

    broker_acknowledge(f->broker, &other, false);
    broker_acknowledge(f->broker, &(struct heard_gone){ .session = SESSION }, true);
    broker_refuse(f->broker, "not yours"); /* comes after them, and is seen */

    await_trouble(f);
    assert_int_equal(gone_count(f->desk), 1);
}

static void a_refusal_is_told_in_the_brokers_words_and_the_certificate_kept(void **state)
{
    struct fixture *f = *state;
    add(f, SESSION, 1);
    (void)await_gone(f);

    broker_refuse(f->broker, "the key has not this right");

    await_trouble(f);
    assert_string_equal(f->news.trouble.message,
                        "the broker refused it: the key has not this right");
    assert_int_equal(gone_count(f->desk), 1);
}

static void garbage_is_told_and_harms_nothing(void **state)
{
    struct fixture *f = *state;
    add(f, SESSION, 1);
    (void)await_gone(f);

    broker_send_garbage(f->broker);

    await_trouble(f);
    assert_int_equal(f->news.trouble.code, BERTH_EPROTO);
    assert_int_equal(await_gone(f).child, 1);
}

static void beyond_the_bound_the_oldest_is_dropped(void **state)
{
    struct fixture *f = *state;
    bool is_heard[GONE_CERTIFICATES_MAX + 2] = { false };
    broker_go_deaf(f->broker);
    for (uint32_t child = 1; child <= GONE_CERTIFICATES_MAX + 1; child++)
        add(f, 0, child);
    assert_int_equal(gone_count(f->desk), GONE_CERTIFICATES_MAX);

    broker_listen_again(f->broker);

    for (int count = 0; count < GONE_CERTIFICATES_MAX;) {
        uint32_t child = await_gone(f).child;
        assert_in_range(child, 2, GONE_CERTIFICATES_MAX + 1);
        count += !is_heard[child];
        is_heard[child] = true;
    }
}

static void a_broker_that_never_answers_gets_a_new_connection(void **state)
{
    struct fixture *f = *state;
    add(f, SESSION, 1);
    uint64_t first_peer = await_gone(f).peer;
    int64_t later_ms = now_ms() + GONE_SILENT_MS;

    /* The clock is the caller's. */
    gone_turn(f->desk, later_ms, &f->news);
    gone_turn(f->desk, later_ms + GONE_EVERY_MS, &f->news);

    while (await_gone(f).peer == first_peer) /* one may have been under way */
        assert_true(now_ms() < later_ms + BROKER_DEADLINE_MS);
    assert_int_equal(gone_count(f->desk), 1);
}

static void an_url_that_makes_no_sense_is_told_each_turn(void **state)
{
    struct fixture *f = *state;
    gone_desk_free(f->desk);
    f->desk = gone_desk_new("nonsense", nonce);
    add(f, SESSION, 1);

    gone_turn(f->desk, now_ms(), &f->news);

    assert_int_equal(f->news.trouble.code, -EINVAL);
    assert_non_null(strstr(f->news.trouble.message, "nonsense"));
    assert_int_equal(gone_count(f->desk), 1);
    assert_true(gone_next_deadline_ms(f->desk) > now_ms());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_idle_desk_has_nothing_to_do),
        TEST(everything_of_a_certificate_arrives),
        TEST(each_is_acknowledged_by_itself),
        TEST(an_acknowledgement_for_another_keeper_changes_nothing),
        TEST(a_refusal_is_told_in_the_brokers_words_and_the_certificate_kept),
        TEST(garbage_is_told_and_harms_nothing),
        TEST(beyond_the_bound_the_oldest_is_dropped),
        TEST(a_broker_that_never_answers_gets_a_new_connection),
        TEST(an_url_that_makes_no_sense_is_told_each_turn),
    };
    return berth_test_main(tests, NULL, NULL);
}
