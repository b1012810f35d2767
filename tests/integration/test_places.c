/* SPDX-License-Identifier: MIT
 *
 * Parents that wait on the very worker that has to run their children, for real: they keep no place
 * of its capacity and no thread, so that all end, whoever is killed meanwhile.
 */
#include "cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/explain.h>

#include "support/await.h"

#define WIDE         "wide" /* a dispatcher with slots for everybody */
#define PARENTS_MAX  80     /* more than a worker has threads for handlers */
#define CHILDREN_OF  2
#define CAPACITY     2
#define PAYLOAD_SIZE 1024

/* The only worker: it runs parents and commands. */
static void start_worker(struct cluster *c, int capacity, const char *suspended_max)
{
    const char *options[] = { "--plugin",     BERTH_BIN_DIR "/scopes_plugin.so",
                              "--allow-exec", "--work-dir",
                              c->site->dir,   "--suspended-max",
                              suspended_max,  NULL };
    if (!suspended_max)
        options[5] = NULL;
    cluster_start_worker_with(c, 0, capacity, options);
}

static void set(struct cluster *c, const char *dispatcher, uint32_t limit,
                enum berth_dispatcher_hold hold)
{
    const struct berth_dispatcher_settings settings = {
        .limit = { .kind = BERTH_LIMIT_NUMBER, .value = limit }, .hold = hold
    };
    if (berth_dispatcher_set(c->client, dispatcher, &settings, NULL, CLUSTER_TIMEOUT_MS, &c->err) <
        0)
        fail_msg("%s", c->err.message);
}

/* A parent with so many children, which are commands; see scopes_plugin.c. */
static void plan(struct cluster *c, int count, const char *dispatcher, char payload[PAYLOAD_SIZE])
{
    (void)snprintf(payload, PAYLOAD_SIZE, "plain %d %s %s %s", count, dispatcher,
                   BERTH_BIN_DIR "/hold", c->gauge_path);
}

static struct berth_job_spec parent_of(const char *dispatcher, const char *payload)
{
    return (struct berth_job_spec){ .dispatcher = dispatcher,
                                    .handler = "parent",
                                    .payload = { payload, strlen(payload) },
                                    .max_attempts = 1 };
}

static uint64_t submit_parent(struct cluster *c, const char *dispatcher, const char *payload)
{
    const struct berth_job_spec spec = parent_of(dispatcher, payload);
    return cluster_submit_one(c, &spec);
}

/* All at once, so that they are ahead of their children. */
static void submit_parents(struct cluster *c, const char *dispatcher, int count, uint64_t *ret_ids)
{
    char payload[PAYLOAD_SIZE];
    struct berth_job_spec specs[PARENTS_MAX];
    struct berth_submitted submitted[PARENTS_MAX];
    plan(c, CHILDREN_OF, dispatcher, payload);
    for (int i = 0; i < count; i++)
        specs[i] = parent_of(dispatcher, payload);
    if (berth_submit_many(c->client, specs, (size_t)count, submitted, CLUSTER_TIMEOUT_MS, &c->err) <
        0)
        fail_msg("%s", c->err.message);
    for (int i = 0; i < count; i++)
        ret_ids[i] = submitted[i].id.v;
}

struct room {
    struct cluster *cluster;
    uint32_t running, suspended, capacity;
};

static int look(void *arg, const struct berth_worker_info *worker)
{
    struct room *room = arg;
    room->running = worker->running;
    room->suspended = worker->suspended;
    room->capacity = worker->capacity;
    return 0;
}

static bool is_full_beside_waiting_parents(void *arg)
{
    struct room *room = arg;
    struct cluster *c = room->cluster;
    if (berth_worker_list(c->client, look, room, CLUSTER_TIMEOUT_MS, &c->err) < 0)
        fail_msg("%s", c->err.message);
    return room->running == room->capacity && room->suspended == PARENTS_MAX;
}

struct census {
    enum berth_state state;
    int count;
};

static int count_child(void *arg, const struct berth_job *job)
{
    struct census *census = arg;
    census->count += job->parent.v != 0 && job->state == census->state;
    return 0;
}

static int children_in(struct cluster *c, enum berth_state state)
{
    struct census census = { .state = state };
    if (berth_job_list(c->client, NULL, count_child, &census, CLUSTER_TIMEOUT_MS, &c->err) < 0)
        fail_msg("%s", c->err.message);
    return census.count;
}

/* ---- one place ---- */

static void ends_on_one_place(struct cluster *c, enum berth_dispatcher_hold hold, uint32_t limit)
{
    char payload[PAYLOAD_SIZE];
    start_worker(c, 1, NULL);
    set(c, "family", limit, hold);
    plan(c, 3, "family", payload);

    uint64_t id = submit_parent(c, "family", payload);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    cluster_await_state(c, id, BERTH_SUSPENDED);
    gauge_release_after(c->gauge, 1);

    cluster_await(c, &id, 1, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), 1);
    assert_int_equal(gauge_all_starts(c->gauge), 3);
}

static void a_parent_and_its_children_end_on_a_worker_with_one_place(void **state)
{
    ends_on_one_place(*state, BERTH_HOLDS_JOB, 32);
}

static void a_parent_that_gives_its_slot_back_does_too(void **state)
{
    ends_on_one_place(*state, BERTH_HOLDS_RUNNING, 1);
}

static void a_tree_of_parents_does_too(void **state)
{
    struct cluster *c = *state;
    char inner[PAYLOAD_SIZE], middle[PAYLOAD_SIZE + 64], payload[PAYLOAD_SIZE + 128];
    start_worker(c, 1, NULL);
    cluster_set_limit(c, WIDE, 32);
    plan(c, 2, WIDE, inner);
    (void)snprintf(middle, sizeof middle, "nested 2 " WIDE " x x %s", inner);
    (void)snprintf(payload, sizeof payload, "nested 2 " WIDE " x x %s", middle);
    gauge_release_after(c->gauge, 1);

    uint64_t id = submit_parent(c, WIDE, payload);

    cluster_await(c, &id, 1, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), 1);
    assert_int_equal(gauge_all_starts(c->gauge), 8);
}

/* Two wait at most, and only one of them may be nobody's child. */
static void parents_beyond_what_is_held_wait_for_their_turn(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[8];
    start_worker(c, 1, "2");
    cluster_set_limit(c, WIDE, 32);
    submit_parents(c, WIDE, 8, ids);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));

    gauge_release_after(c->gauge, 1);

    cluster_await(c, ids, 8, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), 1);
}

static void a_parent_that_waits_is_cancelled_though_the_worker_is_full(void **state)
{
    struct cluster *c = *state;
    char payload[PAYLOAD_SIZE];
    uint64_t command;
    start_worker(c, 1, NULL);
    cluster_set_limit(c, WIDE, 32);
    cluster_set_limit(c, "other", 1);
    plan(c, 1, WIDE, payload);
    uint64_t id = submit_parent(c, WIDE, payload);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    cluster_submit(c, "other", 1, &command);

    if (berth_job_cancel(c->client, (berth_job_id){ id }, CLUSTER_TIMEOUT_MS, &c->err) < 0)
        fail_msg("%s", c->err.message);

    cluster_await(c, &id, 1, BERTH_CANCELLED);
    assert_int_equal(children_in(c, BERTH_CANCELLED), 1);
    assert_true(gauge_await_starts(c->gauge, 2, CLUSTER_TIMEOUT_MS));
    gauge_release_after(c->gauge, 1);
    cluster_await(c, &command, 1, BERTH_COMPLETED);
}

static void a_parent_that_waits_is_cancelled_though_its_limit_is_0(void **state)
{
    struct cluster *c = *state;
    char payload[PAYLOAD_SIZE];
    start_worker(c, 1, NULL);
    cluster_set_limit(c, WIDE, 32);
    set(c, "narrow", 1, BERTH_HOLDS_RUNNING);
    plan(c, 1, WIDE, payload);
    uint64_t id = submit_parent(c, "narrow", payload);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    cluster_await_state(c, id, BERTH_SUSPENDED);
    cluster_set_limit(c, "narrow", 0);

    if (berth_job_cancel(c->client, (berth_job_id){ id }, CLUSTER_TIMEOUT_MS, &c->err) < 0)
        fail_msg("%s", c->err.message);

    cluster_await(c, &id, 1, BERTH_CANCELLED);
    assert_int_equal(children_in(c, BERTH_CANCELLED), 1);
}

struct waiter {
    struct cluster *cluster;
    uint64_t id;
    bool is_it; /* it waits for a place, and says so */
};

static bool waits_for_a_place(void *arg)
{
    struct waiter *waiter = arg;
    struct cluster *c = waiter->cluster;
    struct berth_explanation *why;
    if (berth_job_explain(c->client, (berth_job_id){ waiter->id }, &why, CLUSTER_TIMEOUT_MS,
                          &c->err) < 0)
        fail_msg("%s", c->err.message);
    const struct berth_cause *cause = why->causes;
    waiter->is_it =
        why->causes_count == 1 && strcmp(cause->kind, "place") == 0 && cause->in_use == 1 &&
        cause->limit == 1 && strcmp(cause->worker, "w0") == 0 &&
        strcmp(cause->reason, "waits for a place at worker w0 to go on: 1 of 1 in use") == 0;
    berth_explanation_free(why);
    return waiter->is_it;
}

/* The place of its child goes to the job that has waited for it: the parent asks a moment later. */
static void who_may_go_on_waits_for_a_place_and_says_so(void **state)
{
    struct cluster *c = *state;
    char payload[PAYLOAD_SIZE];
    uint64_t command;
    start_worker(c, 1, NULL);
    cluster_set_limit(c, WIDE, 32);
    plan(c, 1, WIDE, payload);
    struct waiter waiter = { .cluster = c, .id = submit_parent(c, WIDE, payload) };
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    cluster_submit(c, WIDE, 1, &command);

    gauge_release(c->gauge, 1, 0);
    assert_true(gauge_await_starts(c->gauge, 2, CLUSTER_TIMEOUT_MS));
    assert_true(await(waits_for_a_place, &waiter, CLUSTER_TIMEOUT_MS));
    assert_int_equal(cluster_state(c, waiter.id), BERTH_SUSPENDED);
    assert_true(gauge_await_alive(c->gauge, 1, CLUSTER_TIMEOUT_MS));
    gauge_release(c->gauge, 1, 0);

    cluster_await(c, &command, 1, BERTH_COMPLETED);
    cluster_await(c, &waiter.id, 1, BERTH_COMPLETED);
}

/* ---- many ---- */

static void parents_that_wait_leave_all_places_to_their_children(void **state)
{
    struct cluster *c = *state;
    uint64_t ids[PARENTS_MAX];
    struct room room = { .cluster = c };
    start_worker(c, CAPACITY, NULL);
    cluster_set_limit(c, WIDE, 1000);

    submit_parents(c, WIDE, PARENTS_MAX, ids);
    if (!await(is_full_beside_waiting_parents, &room, CLUSTER_TIMEOUT_MS))
        fail_msg("%u run and %u wait", room.running, room.suspended);
    assert_true(gauge_await_alive(c->gauge, CAPACITY, CLUSTER_TIMEOUT_MS));
    gauge_release_after(c->gauge, 1);

    cluster_await(c, ids, PARENTS_MAX, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), CAPACITY);
    assert_int_equal(gauge_all_starts(c->gauge), PARENTS_MAX * CHILDREN_OF);
}

/* Each of them needs a slot and a place to go on, and gives both back to wait. */
static void parents_that_give_their_slots_back_share_slots_and_places(void **state)
{
    enum { PARENTS = 20 };
    struct cluster *c = *state;
    uint64_t ids[PARENTS];
    start_worker(c, CAPACITY, NULL);
    set(c, "narrow", 1, BERTH_HOLDS_RUNNING);
    gauge_release_after(c->gauge, 1);

    submit_parents(c, "narrow", PARENTS, ids);

    cluster_await(c, ids, PARENTS, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), 1);
    assert_int_equal(gauge_all_starts(c->gauge), PARENTS * CHILDREN_OF);
}

static void kill_worker(struct cluster *c)
{
    while (!cluster_child_of(c, 0))
        assert_false(await_readable(-1, 1));
    cluster_kill_child(c, 0);
}

/* A death that blames nobody makes suspects of what ran, which are few and run alone: were those
 * that only waited among them, they would wait there for children that are suspects, too. */
static void parents_that_waited_are_no_suspects(void **state)
{
    enum { PARENTS = 6, ROUNDS = 2 };
    struct cluster *c = *state;
    char payload[PAYLOAD_SIZE];
    uint64_t ids[PARENTS];
    start_worker(c, PARENTS, NULL);
    cluster_set_limit(c, WIDE, 1000);
    plan(c, 1, WIDE, payload);
    for (int i = 0; i < PARENTS; i++)
        ids[i] = submit_parent(c, WIDE, payload);

    for (int round = 1; round <= ROUNDS; round++) {
        assert_true(gauge_await_starts(c->gauge, round * PARENTS, CLUSTER_TIMEOUT_MS));
        assert_true(gauge_await_alive(c->gauge, PARENTS, CLUSTER_TIMEOUT_MS));
        for (int i = 0; i < PARENTS; i++)
            cluster_await_state(c, ids[i], BERTH_SUSPENDED);
        kill_worker(c);
    }
    gauge_release_after(c->gauge, 1);

    cluster_await(c, ids, PARENTS, BERTH_COMPLETED);
    assert_int_equal(gauge_alive_max(c->gauge), PARENTS);
}

static void whoever_is_killed_all_parents_complete(void **state)
{
    enum { PARENTS = 50 };
    struct cluster *c = *state;
    uint64_t ids[PARENTS];
    start_worker(c, CAPACITY, NULL);
    cluster_set_limit(c, WIDE, 1000);
    gauge_release_after(c->gauge, 10);
    submit_parents(c, WIDE, PARENTS, ids);

    assert_true(gauge_await_starts(c->gauge, 10, CLUSTER_TIMEOUT_MS));
    cluster_restart_broker(c);
    assert_true(gauge_await_starts(c->gauge, 20, CLUSTER_TIMEOUT_MS));
    kill_worker(c);
    assert_true(gauge_await_starts(c->gauge, 40, CLUSTER_TIMEOUT_MS));
    kill_worker(c);
    cluster_restart_broker(c);

    cluster_await(c, ids, PARENTS, BERTH_COMPLETED);
    assert_int_equal(gauge_alive(c->gauge), 0);
    assert_false(gauge_has_overlap(c->gauge));
    assert_int_equal(children_in(c, BERTH_COMPLETED), PARENTS * CHILDREN_OF);
    assert_int_equal(children_in(c, BERTH_DEAD), 0);
}

int main(void)
{
#define PLACES_TEST(fact) cmocka_unit_test_setup_teardown(fact, cluster_setup, cluster_teardown)
    const struct CMUnitTest tests[] = {
        PLACES_TEST(a_parent_and_its_children_end_on_a_worker_with_one_place),
        PLACES_TEST(a_parent_that_gives_its_slot_back_does_too),
        PLACES_TEST(a_tree_of_parents_does_too),
        PLACES_TEST(parents_beyond_what_is_held_wait_for_their_turn),
        PLACES_TEST(a_parent_that_waits_is_cancelled_though_the_worker_is_full),
        PLACES_TEST(a_parent_that_waits_is_cancelled_though_its_limit_is_0),
        PLACES_TEST(who_may_go_on_waits_for_a_place_and_says_so),
        PLACES_TEST(parents_that_wait_leave_all_places_to_their_children),
        PLACES_TEST(parents_that_give_their_slots_back_share_slots_and_places),
        PLACES_TEST(parents_that_waited_are_no_suspects),
        PLACES_TEST(whoever_is_killed_all_parents_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
