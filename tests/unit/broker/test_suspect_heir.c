/* SPDX-License-Identifier: MIT */
/* Processes for suspects outlive the child of the worker that asked for them: whose they are then.
 */
#include "core_fixture.h"

#include "broker/core/worker/suspect.h"

/* The same keeper's next child. */
static struct worker *given_child_of(struct fixture *f, struct worker *of)
{
    struct worker *w = new_worker(f, 4);
    w->can_start_alone = true;
    if (of) {
        w->name = of->name;
        w->nonce = of->nonce;
        w->child = of->child + 1;
    }
    given_joined(f, w);
    return w;
}

static struct worker *given_alone(struct fixture *f, const struct worker *of)
{
    struct worker *w = new_worker(f, 1);
    w->is_alone = true;
    w->name = of->name;
    given_joined(f, w);
    return w;
}

static uint32_t count_of(const struct fixture *f, const struct worker *w)
{
    return session_of(f, w)->alone_count;
}

/* Suspects that wait, more than one worker has processes for. */
static void given_suspects(struct fixture *f)
{
    struct worker *w = given_worker(f, 8);
    uint64_t attempts[6], jobs[6];
    set_limit(f, "default", 100);
    store_all(f);
    for (size_t i = 0; i < 6; i++) {
        jobs[i] = given_running(f, (struct submit){ 0 });
        attempts[i] = attempt_of(f, jobs[i]);
    }
    gone_with(f, w,
              (struct berth_ev_gone){
                  .cause = BERTH_GONE_EXIT, .attempts = attempts, .jobs = jobs, .count = 6 });
    store_all(f);
}

static uint32_t asked(const struct fixture *f, const struct worker *w)
{
    uint32_t count = 0;
    for (size_t i = 0; i < f->said_count; i++)
        if (f->said[i].type == BERTH_DO_ORDERS && f->said[i].peer == w->peer)
            count += f->said[i].orders.start_alone;
    return count;
}

static void
the_next_child_of_a_worker_is_asked_for_no_more_than_four_with_those_there_are(void **state)
{
    struct fixture *f = *state;
    given_suspects(f);
    struct worker *w = given_child_of(f, NULL), *alone[3];
    for (size_t i = 0; i < 3; i++)
        alone[i] = given_alone(f, w);
    assert_int_equal(count_of(f, w), 3);

    gone(f, w, BERTH_GONE_SIGNAL);
    store_all(f);
    struct worker *next = given_child_of(f, w);

    assert_int_equal(count_of(f, next), 3);
    assert_int_equal(asked(f, next), 1);
    given_alone(f, next);
    renew(f, next);
    turn_after(f, 1000);
    assert_int_equal(count_of(f, next), 4);
    assert_int_equal(asked(f, next), 1);
    gone(f, alone[0], BERTH_GONE_DRAIN);
    store_all(f);
    assert_int_equal(count_of(f, next), 3);
    assert_int_equal(asked(f, next), 2);
}

/* Its keeper starts the next child at once, and what it proves of the last one comes later. */
static void a_successor_takes_them_over_before_the_death_is_known(void **state)
{
    struct fixture *f = *state;
    given_suspects(f);
    struct worker *w = given_child_of(f, NULL);
    given_alone(f, w);
    struct worker *next = new_worker(f, 4);
    next->can_start_alone = true;
    next->name = w->name;
    given_joined(f, next);
    assert_int_equal(count_of(f, w), 0);
    assert_int_equal(count_of(f, next), 1);

    gone(f, w, BERTH_GONE_LEASE);
    store_all(f);

    assert_int_equal(count_of(f, next), 1);
}

static void one_that_joins_before_its_worker_is_counted_when_that_comes(void **state)
{
    struct fixture *f = *state;
    given_suspects(f);
    struct worker *w = new_worker(f, 4);
    w->can_start_alone = true;
    given_alone(f, w);
    given_joined(f, w);
    assert_int_equal(count_of(f, w), 1);
}

static void those_of_others_stay_where_they_are(void **state)
{
    struct fixture *f = *state;
    given_suspects(f);
    struct worker *one = given_child_of(f, NULL), *two = given_child_of(f, NULL);
    given_alone(f, one);
    given_alone(f, two);
    gone(f, one, BERTH_GONE_SIGNAL);
    store_all(f);
    struct worker *next = given_child_of(f, one);
    assert_int_equal(count_of(f, next), 1);
    assert_int_equal(count_of(f, two), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            the_next_child_of_a_worker_is_asked_for_no_more_than_four_with_those_there_are,
            core_setup, core_teardown),
        cmocka_unit_test_setup_teardown(a_successor_takes_them_over_before_the_death_is_known,
                                        core_setup, core_teardown),
        cmocka_unit_test_setup_teardown(one_that_joins_before_its_worker_is_counted_when_that_comes,
                                        core_setup, core_teardown),
        cmocka_unit_test_setup_teardown(those_of_others_stay_where_they_are, core_setup,
                                        core_teardown),
    };
    return berth_test_main(tests, NULL, NULL);
}
