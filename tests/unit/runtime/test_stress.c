/* SPDX-License-Identifier: MIT
 *
 * Everything at once: random trees on all dispatchers, from several plain threads, with scopes that
 * fail, are cancelled and run out of time, moves, channels, locks, descriptors, calls of libc that
 * park and such that block. Each round has limits of its own, and ends with weft shut down.
 *
 *     test_stress [SECONDS [SEED]]       3 seconds and a seed of the clock's if not given
 *
 * What must be true at the end of each round:
 * 1. Whatever was to run in any case has run, once; whatever has begun has ended.
 * 2. Counters under a lock, or of a serial view, are exact.
 * 3. What was sent has been received or dropped, once.
 * 4. weft_shutdown() returns 0; and all of it within a minute.
 */
#include "stress_body.h"

#include <stdio.h>
#include <unistd.h>

#include "support/await.h"

#include "thread_set.h"

#define ROUND_MS    1000
#define PATIENCE_MS 60000
#define THREADS     3

static void *open_roots(void *arg)
{
    struct item self = *(struct item *)arg;
    while (!world.is_over) {
        struct call calls[3];
        struct weft_task *roots[3];
        for (int i = 0; i < 3; i++) {
            calls[i] = (struct call){ .item = child_of(&self) };
            calls[i].item.depth = 0;
            roots[i] = weft_root_open(place(&self), run_call, &calls[i]);
            if (!roots[i])
                wrong("a root could not be opened");
        }
        if (draw(&self, 4) == 0)
            weft_cancel(roots[0]);
        for (int i = 0; i < 3; i++) {
            if (roots[i])
                check_call(&calls[i], weft_root_close(roots[i]));
        }
    }
    return NULL;
}

static void make_places(struct item *self)
{
    struct weft_dispatcher *on_io, *on_default, *on_virtual, *beside, *series;
    assert_int_equal(weft_view_nested(weft_io(), 2, "on io", &on_io), 0);
    assert_int_equal(weft_view_nested(weft_default(), 3, "on default", &on_default), 0);
    assert_int_equal(weft_view_nested(weft_virtual(), 2, "on virtual", &on_virtual), 0);
    assert_int_equal(weft_view_independent(1 + (int)draw(self, 3), "beside", &beside), 0);
    assert_int_equal(weft_view_serial(weft_io(), "series on io", &series), 0);
    assert_int_equal(weft_view_serial(on_default, "series", &world.serial), 0);
    struct weft_dispatcher *const places[PLACES] = {
        weft_default(),
        weft_default(),
        weft_io(),
        weft_virtual(),
        on_io,
        on_default,
        on_virtual,
        beside,
        series,
        world.serial,
        weft_immediate(weft_default()),
        weft_unconfined(),
    };
    memcpy(world.places, places, sizeof places);
}

static bool has_ended(void *arg)
{
    (void)arg;
    return world.has_ended;
}

static bool has_ended_within(int64_t ms)
{
    return await(has_ended, NULL, ms);
}

/* Ends the program, with all that can be seen, if the round does not. */
static void *watch(void *arg)
{
    (void)arg;
    if (has_ended_within(PATIENCE_MS))
        return NULL;
    (void)fprintf(stderr, "test_stress: seed %llu: stuck\n", (unsigned long long)world.seed);
    (void)weft_dump(STDERR_FILENO);
    abort();
}

static void check_round(void)
{
    const char *what = world.wrong;
    if (what)
        print_error("seed %llu: %s\n", (unsigned long long)world.seed, what);
    assert_null(what);
    assert_int_equal(world.live, 0);
    assert_int_equal(world.begun, world.accepted);
    assert_int_equal(world.ended, world.accepted);
    assert_int_equal(world.locked, world.locked_exact);
    assert_int_equal(world.libc_locked, world.libc_locked_exact);
    assert_int_equal(world.in_series, world.in_series_exact);
    assert_true(world.received <= world.sent);
}

static void run_round(uint64_t seed)
{
    memset(&world, 0, sizeof world);
    (void)pthread_mutex_init(&world.libc_mutex, NULL);
    world.seed = seed;
    struct item self = { .state = seed };
    struct weft_opts opts = { .threads = 1 + draw(&self, 4), .io_threads = 1 + draw(&self, 6) };
    opts.threads_max = opts.threads + opts.io_threads + draw(&self, 4);
    assert_int_equal(weft_configure(&opts), 0);
    make_places(&self);
    weft_threads_idle_ms_set(draw(&self, 2) == 0 ? 2 : WEFT_IDLE_MS_DEFAULT);

    pthread_t threads[THREADS], watcher;
    struct item starts[THREADS];
    assert_int_equal(pthread_create(&watcher, NULL, watch, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        starts[i] = child_of(&self);
        assert_int_equal(pthread_create(&threads[i], NULL, open_roots, &starts[i]), 0);
    }
    (void)has_ended_within(ROUND_MS); /* which it does not before */
    world.is_over = true;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(weft_shutdown(), 0);
    world.has_ended = true;
    assert_int_equal(pthread_join(watcher, NULL), 0);
    check_round();
}

static long seconds = 3;
static uint64_t first_seed;

static void everything_at_once_ends_and_adds_up(void **state)
{
    (void)state;
    int64_t until_ns = weft_deadline_ms(seconds * 1000);
    int64_t patience_ns = weft_deadline_ms(seconds * 1000 + PATIENCE_MS);
    long coroutines = 0, sent = 0, cancelled = 0, timed_out = 0, failed = 0;
    uint64_t seed = first_seed;
    bool has_all = false;
    do {
        run_round(seed++);
        coroutines += world.accepted;
        sent += world.sent;
        cancelled += world.cancelled;
        timed_out += world.timed_out;
        failed += world.failed;
        has_all = sent > 0 && cancelled > 0 && timed_out > 0 && failed > 0;
    } while (weft_now_ns() < until_ns || (!has_all && weft_now_ns() < patience_ns));
    print_message("%llu rounds: %ld coroutines, %ld items, %ld cancelled, %ld timed out, %ld "
                  "failed\n",
                  (unsigned long long)(seed - first_seed), coroutines, sent, cancelled, timed_out,
                  failed);
    assert_true(has_all);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seconds = strtol(argv[1], NULL, 10);
    first_seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)weft_now_ns();
    (void)fprintf(stderr, "test_stress: seed %llu\n", (unsigned long long)first_seed);
    const struct CMUnitTest tests[] = { weft_unit_test(everything_at_once_ends_and_adds_up) };
    return berth_test_main(tests, NULL, NULL);
}
