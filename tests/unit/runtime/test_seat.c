/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <limits.h>
#include <sched.h>

#include "support/await.h"

#include "fence.h"
#include "seat.h"

#define ROUNDS (TEST_IS_SLOW ? 20000 : 400000)

struct fixture {
    struct weft_pool pool; /* only to be counted in */
    struct weft_seat *seat;
    struct weft_thread owner;
};

static void open_seat(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->seat = aligned_alloc(64, sizeof *f->seat);
    assert_non_null(f->seat);
    memset(f->seat, 0, sizeof *f->seat);
    assert_int_equal(weft_seat_init(f->seat, &f->pool, UINT_MAX), 0);
    f->pool.vacant = 1;
}

static void close_seat(struct fixture *f)
{
    weft_seat_fini(f->seat);
    free(f->seat);
}

static void given_owner(struct fixture *f)
{
    open_seat(f);
    assert_true(weft_seat_take(&f->owner, f->seat));
}

/* A turn that says how often it was taken out. */
struct piece {
    struct weft_turn turn;
    int number;
    atomic_int taken;
};

static struct piece *piece_of(struct weft_turn *turn)
{
    return berth_container_of(turn, struct piece, turn);
}

static struct piece *pieces_new(int count)
{
    struct piece *pieces = calloc((size_t)count, sizeof *pieces);
    assert_non_null(pieces);
    for (int i = 0; i < count; i++)
        pieces[i].number = i;
    return pieces;
}

static void push_all(struct fixture *f, struct piece *pieces, int count)
{
    for (int i = 0; i < count; i++)
        assert_true(weft_seat_push(&f->owner, f->seat, &pieces[i].turn));
}

static void assert_pops(struct fixture *f, const int *numbers, int count)
{
    for (int i = 0; i < count; i++) {
        struct weft_turn *turn = weft_seat_pop(&f->owner, f->seat);
        assert_non_null(turn);
        assert_int_equal(piece_of(turn)->number, numbers[i]);
    }
    assert_null(weft_seat_pop(&f->owner, f->seat));
}

/* ---- one thread at a time ---------------------------------------------------------------------
 */

static void turns_come_in_order_and_are_counted(void **state)
{
    (void)state;
    struct fixture f;
    struct piece *pieces = pieces_new(3);
    given_owner(&f);
    assert_false(weft_seat_has_work(f.seat));

    push_all(&f, pieces, 3);
    assert_int_equal(f.seat->queued, 3);
    assert_true(weft_seat_has_work(f.seat));

    assert_pops(&f, (const int[]){ 0, 1, 2 }, 3);
    assert_int_equal(f.seat->queued, 0);
    assert_int_equal(f.seat->turns - f.pool.vacant, f.seat->turns); /* nobody stood up */
    free(pieces);
    close_seat(&f);
}

static void what_a_seat_has_too_many_of_goes_to_the_pool_in_batches(void **state)
{
    (void)state;
    enum { COUNT = WEFT_SEAT_QUEUED_MAX + WEFT_BATCH + 1 };
    struct fixture f;
    struct piece *pieces = pieces_new(COUNT);
    struct weft_turns batch;
    given_owner(&f);
    f.seat->queued_max = WEFT_SEAT_QUEUED_MAX; /* as if there were another seat */

    push_all(&f, pieces, COUNT);

    assert_int_equal(f.seat->queued, WEFT_SEAT_QUEUED_MAX + 1);
    assert_int_equal(weft_pool_queued(&f.pool), WEFT_BATCH);
    assert_true(weft_pool_take_batch(&f.pool, &batch));
    assert_false(weft_pool_take_batch(&f.pool, &batch));
    for (int i = 0; i < WEFT_BATCH; i++) {
        struct weft_turn *turn = weft_turns_pop(&batch);
        assert_non_null(turn);
        assert_int_equal(piece_of(turn)->number, WEFT_SEAT_QUEUED_MAX + i);
        assert_null(turn->seat); /* the links of the batch are gone */
    }
    assert_null(batch.first);
    for (int i = 0; i < WEFT_SEAT_QUEUED_MAX; i++)
        assert_int_equal(piece_of(weft_seat_pop(&f.owner, f.seat))->number, i);
    assert_pops(&f, (const int[]){ COUNT - 1 }, 1); /* the surplus comes last */
    assert_int_equal(f.seat->queued, 0);
    free(pieces);
    close_seat(&f);
}

static void a_seat_that_was_robbed_brings_batches(void **state)
{
    (void)state;
    struct fixture f;
    struct piece *pieces = pieces_new(2 + WEFT_BATCH);
    struct weft_turns batch;
    unsigned count;
    given_owner(&f);
    f.seat->queued_max = WEFT_SEAT_QUEUED_MAX;
    push_all(&f, pieces, 2);
    assert_non_null(weft_seat_steal(f.seat, 64, false, &count));
    assert_int_equal(count, 1);

    push_all(&f, &pieces[2], WEFT_BATCH);

    assert_int_equal(f.seat->queued, 1);
    assert_true(weft_pool_take_batch(&f.pool, &batch));
    assert_int_equal(piece_of(batch.first)->number, 2);
    assert_pops(&f, (const int[]){ 1 }, 1);
    free(pieces);
    close_seat(&f);
}

static void bound_turns_and_others_come_by_turns(void **state)
{
    (void)state;
    struct fixture f;
    struct piece *pieces = pieces_new(6);
    given_owner(&f);
    for (int i = 3; i < 6; i++)
        pieces[i].turn.seat = f.seat;
    push_all(&f, pieces, 6);
    assert_int_equal(f.seat->queued, 3); /* what can be stolen */

    assert_pops(&f, (const int[]){ 3, 0, 4, 1, 5, 2 }, 6);
    free(pieces);
    close_seat(&f);
}

static void only_one_sits_there_and_only_that_one_comes_in(void **state)
{
    (void)state;
    struct fixture f;
    struct weft_thread other = { 0 };
    struct piece *pieces = pieces_new(2);
    given_owner(&f);
    assert_ptr_equal(f.owner.seat, f.seat);
    assert_int_equal(f.pool.vacant, 0);
    push_all(&f, pieces, 1);

    assert_false(weft_seat_take(&other, f.seat));
    assert_false(weft_seat_push(&other, f.seat, &pieces[1].turn));
    assert_null(weft_seat_pop(&other, f.seat));

    (void)weft_seat_vacate(&f.owner);
    assert_null(f.owner.seat);
    assert_int_equal(f.pool.vacant, 1);
    assert_null(weft_seat_pop(&f.owner, f.seat));
    assert_true(weft_seat_take(&other, f.seat)); /* with what was left there */
    assert_ptr_equal(weft_seat_pop(&other, f.seat), &pieces[0].turn);
    free(pieces);
    close_seat(&f);
}

static void what_is_posted_comes_in_order_behind_what_is_there(void **state)
{
    (void)state;
    struct fixture f;
    struct piece *pieces = pieces_new(5);
    given_owner(&f);
    push_all(&f, pieces, 1);
    pieces[3].turn.seat = f.seat;

    for (int i = 1; i < 5; i++)
        assert_false(weft_seat_post(f.seat, &pieces[i].turn)); /* somebody sits there */
    assert_true(weft_seat_has_work(f.seat));
    assert_int_equal(f.seat->queued, 1);
    weft_seat_collect(&f.owner, f.seat);

    assert_int_equal(f.seat->queued, 4);
    assert_pops(&f, (const int[]){ 3, 0, 1, 2, 4 }, 5); /* the bound one first */
    assert_false(weft_seat_has_work(f.seat));
    free(pieces);
    close_seat(&f);
}

static void who_posts_to_a_vacant_seat_is_told(void **state)
{
    (void)state;
    struct fixture f;
    struct piece *pieces = pieces_new(2);
    open_seat(&f);
    assert_true(weft_seat_post(f.seat, &pieces[0].turn));
    weft_seat_collect(&f.owner, f.seat); /* who does not sit there gets nothing */
    assert_true(weft_seat_has_work(f.seat));

    assert_true(weft_seat_take(&f.owner, f.seat));
    assert_false(weft_seat_post(f.seat, &pieces[1].turn));
    weft_seat_collect(&f.owner, f.seat);
    assert_pops(&f, (const int[]){ 0, 1 }, 2);
    free(pieces);
    close_seat(&f);
}

static void assert_steals(struct fixture *f, unsigned count_max, bool takes_single, int first,
                          unsigned expected)
{
    unsigned count = 77;
    struct weft_turn *turn = weft_seat_steal(f->seat, count_max, takes_single, &count);
    assert_int_equal(count, expected);
    for (unsigned i = 0; i < expected; i++, turn = turn->next)
        assert_int_equal(piece_of(turn)->number, first + (int)i);
    assert_null(turn);
}

static void a_thief_gets_the_older_half_in_order(void **state)
{
    (void)state;
    struct fixture f;
    struct piece *pieces = pieces_new(9);
    given_owner(&f);
    assert_steals(&f, 64, true, 0, 0); /* nothing is there */

    push_all(&f, pieces, 8);
    assert_steals(&f, 3, false, 0, 3); /* as many as it wants */
    assert_steals(&f, 64, false, 3, 3);
    assert_steals(&f, 64, false, 6, 1);
    assert_int_equal(f.seat->queued, 1);
    assert_steals(&f, 64, false, 7, 0); /* the last is the owner's, */
    assert_steals(&f, 64, true, 7, 1);  /* but for who takes a single one */
    assert_int_equal(f.seat->queued, 0);
    assert_null(weft_seat_pop(&f.owner, f.seat));

    assert_true(weft_seat_push(&f.owner, f.seat, &pieces[8].turn)); /* the queue is whole */
    assert_pops(&f, (const int[]){ 8 }, 1);
    free(pieces);
    close_seat(&f);
}

static void bound_turns_are_not_stolen(void **state)
{
    (void)state;
    struct fixture f;
    struct piece *pieces = pieces_new(4);
    given_owner(&f);
    for (int i = 0; i < 4; i++)
        pieces[i].turn.seat = f.seat;
    push_all(&f, pieces, 4);
    assert_steals(&f, 64, true, 0, 0);
    assert_pops(&f, (const int[]){ 0, 1, 2, 3 }, 4);
    free(pieces);
    close_seat(&f);
}

/* ---- many threads -----------------------------------------------------------------------------
 */

enum { OTHERS = 3 };

struct race {
    struct fixture f;
    long value; /* plain: only who is inside may touch it */
    struct piece *pieces;
    int piece_count;
    atomic_int taken, next_poster;
    atomic_long turned_away;
    atomic_bool is_over;
};

static void *intrude_often(void *arg)
{
    struct race *race = arg;
    for (int i = 0; i < ROUNDS / 40; i++) {
        weft_seat_intrude(race->f.seat);
        race->value++;
        weft_seat_retreat(race->f.seat);
        if (i % 64 == 0)
            (void)sched_yield();
    }
    return NULL;
}

static void start(pthread_t threads[OTHERS], void *(*fn)(void *), struct race *race)
{
    for (int i = 0; i < OTHERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fn, race), 0);
}

static void join(pthread_t threads[OTHERS])
{
    for (int i = 0; i < OTHERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void owner_and_intruders_are_never_inside_together(void **state)
{
    (void)state;
    struct race race = { .value = 0 };
    pthread_t threads[OTHERS];
    given_owner(&race.f);
    start(threads, intrude_often, &race);
    bool was_inside = true;
    for (int i = 0; i < ROUNDS && was_inside; i++) {
        was_inside = weft_seat_enter(&race.f.owner, race.f.seat);
        race.value += was_inside;
        if (was_inside)
            weft_seat_leave(&race.f.owner, race.f.seat);
    }
    join(threads);

    assert_true(was_inside);
    assert_int_equal(race.value, ROUNDS + OTHERS * (ROUNDS / 40));
    close_seat(&race.f);
}

/* Sits down whenever the seat is vacant, does some work, stands up. */
static void *sit_now_and_then(void *arg)
{
    struct race *race = arg;
    struct weft_thread *self = calloc(1, sizeof *self);
    if (!self)
        abort();
    for (int done = 0; done < ROUNDS / 40;) {
        if (!weft_seat_take(self, race->f.seat)) {
            race->turned_away++;
            (void)sched_yield();
            continue;
        }
        for (int i = 0; i < 10; i++, done++) {
            if (!weft_seat_enter(self, race->f.seat))
                abort();
            race->value++;
            weft_seat_leave(self, race->f.seat);
        }
        (void)weft_seat_vacate(self);
    }
    weft_seat_intrude(race->f.seat); /* nobody looks at it any more, */
    weft_seat_retreat(race->f.seat);
    free(self); /* as threads of weft live on until the end, and this one does not */
    return NULL;
}

static void nobody_meets_an_intruder_while_owners_change(void **state)
{
    (void)state;
    struct race race = { .value = 0 };
    pthread_t sitters[OTHERS];
    open_seat(&race.f);
    start(sitters, sit_now_and_then, &race);
    (void)intrude_often(&race);
    join(sitters);

    assert_int_equal(race.value, (OTHERS + 1) * (ROUNDS / 40));
    assert_int_equal(race.f.pool.vacant, 1);
    close_seat(&race.f);
}

static void note_taken(struct race *race, struct weft_turn *turn)
{
    piece_of(turn)->taken++;
    race->taken++;
}

static void *steal_often(void *arg)
{
    struct race *race = arg;
    while (!race->is_over) {
        unsigned count;
        struct weft_turn *turn = weft_seat_steal(race->f.seat, 64, true, &count);
        for (struct weft_turn *next; turn; turn = next) {
            next = turn->next;
            note_taken(race, turn);
        }
        (void)sched_yield();
    }
    return NULL;
}

static void assert_each_taken_once(const struct race *race)
{
    for (int i = 0; i < race->piece_count; i++)
        assert_int_equal(race->pieces[i].taken, 1);
    assert_int_equal(race->taken, race->piece_count);
    assert_int_equal(race->f.seat->queued, 0);
    assert_false(weft_seat_has_work(race->f.seat));
}

static void each_turn_is_taken_once_by_the_owner_or_a_thief(void **state)
{
    (void)state;
    struct race race = { .piece_count = ROUNDS / 4 };
    race.pieces = pieces_new(race.piece_count);
    pthread_t threads[OTHERS];
    given_owner(&race.f);
    start(threads, steal_often, &race);
    for (int i = 0; i < race.piece_count; i++) {
        assert_true(weft_seat_push(&race.f.owner, race.f.seat, &race.pieces[i].turn));
        struct weft_turn *turn =
            i % 3 != 0 ? weft_seat_pop(&race.f.owner, race.f.seat) : NULL; /* the queue grows */
        if (turn)
            note_taken(&race, turn);
    }
    for (struct weft_turn *turn; (turn = weft_seat_pop(&race.f.owner, race.f.seat));)
        note_taken(&race, turn);
    race.is_over = true;
    join(threads);

    assert_each_taken_once(&race);
    free(race.pieces);
    close_seat(&race.f);
}

/* Of OTHERS posters each brings its own share, in the order of its numbers. */
static void *post_share(void *arg)
{
    struct race *race = arg;
    int share = race->piece_count / OTHERS, first = race->next_poster++ * share;
    for (int i = first; i < first + share; i++)
        (void)weft_seat_post(race->f.seat, &race->pieces[i].turn);
    return NULL;
}

static void what_many_post_is_collected_once_and_in_each_ones_order(void **state)
{
    (void)state;
    struct race race = { .piece_count = OTHERS * (ROUNDS / 10) };
    race.pieces = pieces_new(race.piece_count);
    int last[OTHERS] = { -1, -1, -1 }, disorder = 0;
    pthread_t threads[OTHERS];
    given_owner(&race.f);
    start(threads, post_share, &race);
    int64_t deadline_ns = weft_deadline_ms(TEST_WAIT_MS);
    while (race.taken < race.piece_count && weft_now_ns() < deadline_ns) {
        weft_seat_collect(&race.f.owner, race.f.seat);
        for (struct weft_turn *turn; (turn = weft_seat_pop(&race.f.owner, race.f.seat));) {
            int number = piece_of(turn)->number, poster = number / (race.piece_count / OTHERS);
            disorder += number <= last[poster];
            last[poster] = number;
            note_taken(&race, turn);
        }
    }
    join(threads);

    assert_int_equal(disorder, 0);
    assert_each_taken_once(&race);
    free(race.pieces);
    close_seat(&race.f);
}

/* ---- both kinds of fences ---------------------------------------------------------------------
 */

static int with_membarrier(void **state)
{
    (void)state;
    weft_fence_open();
    return 0;
}

static int without_membarrier(void **state)
{
    (void)state;
    weft_fence_is_unequal = false;
    return 0;
}

#define seat_unit_test(f)                                                                          \
    { #f, f, with_membarrier, NULL, NULL },                                                        \
    {                                                                                              \
#f " without membarrier", f, without_membarrier, NULL, NULL                                \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        seat_unit_test(turns_come_in_order_and_are_counted),
        seat_unit_test(what_a_seat_has_too_many_of_goes_to_the_pool_in_batches),
        seat_unit_test(a_seat_that_was_robbed_brings_batches),
        seat_unit_test(bound_turns_and_others_come_by_turns),
        seat_unit_test(only_one_sits_there_and_only_that_one_comes_in),
        seat_unit_test(what_is_posted_comes_in_order_behind_what_is_there),
        seat_unit_test(who_posts_to_a_vacant_seat_is_told),
        seat_unit_test(a_thief_gets_the_older_half_in_order),
        seat_unit_test(bound_turns_are_not_stolen),
        seat_unit_test(owner_and_intruders_are_never_inside_together),
        seat_unit_test(nobody_meets_an_intruder_while_owners_change),
        seat_unit_test(each_turn_is_taken_once_by_the_owner_or_a_thief),
        seat_unit_test(what_many_post_is_collected_once_and_in_each_ones_order),
    };
    return berth_test_main(tests, NULL, NULL);
}
