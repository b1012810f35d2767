/* SPDX-License-Identifier: MIT
 *
 * The core as a whole: what it refuses to be, deadlines, and that it replays.
 */
#include <errno.h>

#include "base/hash.h"
#include "base/rng.h"
#include "core_fixture.h"
#include "support/faulty.h"

static const char *refusal(struct berth_core_opts opts)
{
    static struct berth_error err;
    opts.epoch = EPOCH;
    assert_null(berth_core_new(&opts, &err));
    assert_int_equal(err.code, -EINVAL);
    return err.message;
}

/* ---- options ---- */

/* K (1 + rho) / (1 - rho) + kappa < L: 8500 ms need more than 9517 ms. */
static void a_lease_that_is_too_short_for_the_workers_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_non_null(strstr(refusal((struct berth_core_opts){ .lease_ms = 9517 }),
                           "lease 9517 ms is too short for a worker's lease of 8500 ms"));
    assert_non_null(strstr(refusal((struct berth_core_opts){ .lease_ms = 900 }), "too short"));
    assert_non_null(strstr(
        refusal((struct berth_core_opts){ .lease_ms = UINT32_MAX, .worker_lease_ms = UINT32_MAX }),
        "too short"));

    core_replace(f, (struct berth_core_opts){ .lease_ms = 9518 });
    core_start(f);
}

static void a_workers_lease_without_patience_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_non_null(
        strstr(refusal((struct berth_core_opts){ .renew_ms = 2126 }),
               "worker's lease 8500 ms is too short for renewals every 2126 ms: allowed is at "
               "least four times that"));
    assert_non_null(strstr(refusal((struct berth_core_opts){ .renew_ms = 1u << 30 }), "too short"));

    core_replace(f, (struct berth_core_opts){ .renew_ms = 2125 });
    core_start(f);
}

static void more_jobs_than_ids_can_name_are_refused(void **state)
{
    (void)state;
    assert_non_null(strstr(refusal((struct berth_core_opts){ .jobs_max = 1000000001 }),
                           "max_jobs 1000000001: allowed is 1 to 1000000000"));
}

static void without_memory_there_is_no_core(void **state)
{
    (void)state;
    struct berth_core_opts opts = { .epoch = EPOCH };
    for (size_t n = 1; n <= 2; n++) {
        struct berth_error err = { 0 };
        faulty_fail_at(n);
        struct berth_core *core = berth_core_new(&opts, &err);
        assert_true(faulty_stop());
        assert_null(core);
        assert_int_equal(err.code, -ENOMEM);
    }
    berth_core_free(NULL);
}

/* The worker's room stays, and so does the job's place. */
static void a_grant_that_found_no_memory_is_made_in_the_next_turn(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    submit(f, (struct submit){ 0 });
    store_one(f);
    faulty_fail_at(1);
    turn(f);
    assert_true(faulty_stop());
    assert_int_equal(grants_to(f, w), 0);

    turn(f);

    assert_int_equal(grants_to(f, w), 1);
}

/* ---- deadlines ---- */

static void an_idle_core_wants_no_turn(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), INT64_MAX);
}

static void the_next_turn_is_due_with_the_first_of_leases_and_jobs(void **state)
{
    struct fixture *f = *state;
    given_worker(f, 4);
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms + L_MS);
    given_job(f, (struct submit){ .delay_ms = 777 });
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us), f->now_ms + 777);
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us + 500),
                     f->now_ms + 777); /* rounded up: never too early */
    assert_int_equal(berth_core_next_deadline_ms(f->core, f->now_ms, f->wall_us + 5000000),
                     f->now_ms);
}

/* ---- replay ---- */

static const char *const walk_names[] = { "default", "io", "a", "b", "c" };
#define WALK_NAMES (sizeof walk_names / sizeof *walk_names)

/* Limits of all kinds and any tree, some of which is refused. */
static void change_settings(struct fixture *f, struct berth_rng *rng)
{
    const char *name = walk_names[berth_rng_below(rng, WALK_NAMES)];
    uint32_t number = (uint32_t)berth_rng_below(rng, 5);
    struct berth_ev_dispatcher_set event = { .has_limit = true,
                                             .limit = { BERTH_LIMIT_NUMBER, number } };
    switch (berth_rng_below(rng, 6)) {
    case 0:
        event.has_parent = true;
        event.parent = text(number ? walk_names[berth_rng_below(rng, WALK_NAMES)] : "");
        break;
    case 1:
        event.has_group_limit = true;
        event.group_limit = number;
        break;
    case 2:
        event.has_rate = event.has_burst = true;
        event.rate_count = number;
        event.rate_ms = number ? 1000 : 0;
        event.burst = number;
        break;
    case 3:
        event.has_weight = event.has_max_queued = true;
        event.weight = 1 + number;
        event.max_queued = number * 20;
        break;
    case 4: pause_dispatcher(f, name, number > 2); return;
    default: break;
    }
    event.has_limit = !event.has_parent || berth_rng_chance(rng, 1, 2);
    set(f, event, name);
}

/* A random walk over all events, much of it nonsense; the hash is over all that was said. */
static uint64_t walk(struct fixture *f, uint64_t seed)
{
    struct berth_rng rng;
    berth_rng_init(&rng, seed);
    core_replace(f, (struct berth_core_opts){ .jobs_max = 200, .body_bytes_max = 200 });
    core_start(f);
    store_all(f);
    uint64_t hash = 0;
    struct worker *workers[4];
    for (unsigned i = 0; i < 4; i++)
        given_joined(f, workers[i] = new_worker(f, 1 + i));
    for (unsigned i = 0; i < 3000; i++) {
        struct worker *w = workers[berth_rng_below(&rng, 4)];
        uint64_t id = 1 + berth_rng_below(&rng, f->core->next_job_id + 2);
        uint64_t attempt = (uint64_t)EPOCH << 40 | berth_rng_below(&rng, i + 1);
        struct berth_join_line lines[] = { line(attempt, id, 1 + (uint32_t)(i % 3)) };
        const struct berth_order_grant *grant = grant_of(f, id);
        switch (berth_rng_below(&rng, 16)) {
        case 0:
        case 1:
        case 2:
            submit(f, (struct submit){ .dispatcher = walk_names[berth_rng_below(&rng, WALK_NAMES)],
                                       .handler = i % 5 ? "mail" : "rare",
                                       .group = i % 4 ? walk_names[i % 3] : NULL,
                                       .key = i % 7 ? NULL : "k",
                                       .priority = (int32_t)(i % 3),
                                       .delay_ms = i % 4 ? 0 : 300 });
            break;
        case 3: cancel(f, id); break;
        case 4: wait_for(f, id); break;
        case 5: ask(f, BERTH_EV_JOB_GET, &id, 1); break;
        case 6: turn_after(f, (int64_t)berth_rng_below(&rng, 800)); break;
        case 7: join(f, w, lines, 1); break;
        case 8: join(f, w, NULL, 0); break;
        case 9: renew(f, w); break;
        case 10:
            report_end(f, w, grant ? grant->attempt : attempt, id,
                       (struct berth_attempt_end){
                           .outcome = (enum berth_outcome)(1 + berth_rng_below(&rng, 6)) });
            break;
        case 11: release(f, w, grant ? grant->attempt : attempt); break;
        case 12:
            if (f->away)
                complete(f, berth_rng_chance(&rng, 1, 5) ? FULL : STORED);
            else
                close_batch(f);
            break;
        case 13:
            if (find(f, BERTH_DO_READ))
                answer_read(f, NULL, 0);
            break;
        case 14:
            if (berth_rng_chance(&rng, 1, 10)) {
                gone(f, w, BERTH_GONE_EXIT);
                w->child++;
                hello(f, w);
            }
            if (find_to(f, BERTH_DO_WELCOME, w->peer))
                take_welcome(f, w);
            break;
        default: change_settings(f, &rng); break;
        }
        if (f->said_count > 500) {
            for (size_t j = 0; j < f->said_count; j++)
                hash = hash * 31 + f->said[j].type * 7 + f->said[j].peer * 3 + f->said[j].request;
            forget(f);
        }
    }
    return hash;
}

/* Each step checks the invariants; nothing that a peer says may end the process. */
static void the_same_events_have_the_same_effects_and_nonsense_harms_nothing(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        f->request = f->bodies = 0;
        uint64_t first = walk(f, seed);
        f->request = f->bodies = 0;
        assert_int_equal(walk(f, seed), first);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lease_that_is_too_short_for_the_workers_is_refused),
        TEST(a_workers_lease_without_patience_is_refused),
        TEST(more_jobs_than_ids_can_name_are_refused),
        TEST(without_memory_there_is_no_core),
        TEST(a_grant_that_found_no_memory_is_made_in_the_next_turn),
        TEST(an_idle_core_wants_no_turn),
        TEST(the_next_turn_is_due_with_the_first_of_leases_and_jobs),
        TEST(the_same_events_have_the_same_effects_and_nonsense_harms_nothing),
    };
    return berth_test_main(tests, NULL, NULL);
}
