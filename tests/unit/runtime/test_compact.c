/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compact.h"
#include "stack.h"
#include "support/faulty.h"

#define REGION_BYTES ((size_t)64 << 10)
#define MANY         2000

static struct weft_blocks blocks;
static struct weft_region region;
static struct weft_fiber main_fiber;

/* What a coroutine here does: fills `depth` frames with its number, parks in the deepest, and looks
 * whether they are as they were. */
struct runner {
    struct weft_compact compact;
    int number, depth, parks;
    int parked, wrong, rc;
    const volatile char *local; /* of its deepest frame */
    bool is_ended;
};

static struct runner *current;

static void park(struct runner *self)
{
    self->rc = weft_compact_prepare(&region);
    if (self->rc < 0)
        return;
    self->parked++;
    weft_fiber_switch(&self->compact.fiber, &main_fiber);
}

/* NOLINTNEXTLINE(misc-no-recursion): that is how it gets deep */
static void __attribute__((noinline)) go_down(struct runner *self, int depth)
{
    volatile char local[100];
    for (size_t i = 0; i < sizeof local; i++)
        local[i] = (char)(self->number + depth);
    if (depth > 0) {
        go_down(self, depth - 1);
    } else {
        self->local = local;
        for (int i = 0; i < self->parks && self->rc == 0; i++)
            park(self);
        self->local = NULL;
    }
    for (size_t i = 0; i < sizeof local; i++)
        self->wrong += local[i] != (char)(self->number + depth);
}

static void entry(void)
{
    struct runner *self = current;
    weft_fiber_entered(&self->compact.fiber);
    go_down(self, self->depth);
    self->is_ended = true;
    weft_fiber_switch(&self->compact.fiber, &main_fiber);
}

static void go_on(struct runner *runner)
{
    current = runner;
    weft_fiber_switch(&main_fiber, &runner->compact.fiber);
    if (runner->is_ended)
        weft_compact_end(&region, &runner->compact);
}

static int begin(struct runner *runner)
{
    int rc = weft_compact_begin(&region, &runner->compact, entry);
    if (rc == 0)
        go_on(runner);
    return rc;
}

static int resume(struct runner *runner)
{
    int rc = weft_compact_enter(&region, &runner->compact);
    if (rc == 0)
        go_on(runner);
    return rc;
}

static int setup(void **state)
{
    (void)state;
    weft_fiber_adopt(&main_fiber);
    return weft_region_init(&region, &blocks, REGION_BYTES);
}

static int teardown(void **state)
{
    (void)state;
    weft_region_fini(&region);
    bool is_whole = blocks.live == 0;
    weft_blocks_trim(&blocks);
    weft_stack_fini();
    return is_whole && !blocks.chunks ? 0 : -1;
}

static void one_that_is_resumed_next_is_not_copied(void **state)
{
    (void)state;
    struct runner one = { .number = 1, .depth = 3, .parks = 2 };
    assert_int_equal(begin(&one), 0);
    assert_int_equal(one.parked, 1);
    assert_ptr_equal(region.resident, &one.compact);
    assert_int_equal(resume(&one), 0);
    assert_null(one.compact.saved);
    assert_int_equal(blocks.live, 0);
    assert_int_equal(resume(&one), 0);
    assert_true(one.is_ended);
    assert_int_equal(one.wrong, 0);
    assert_null(region.resident);
}

static void the_resident_is_copied_when_another_comes(void **state)
{
    (void)state;
    struct runner one = { .number = 1, .depth = 3, .parks = 1 };
    struct runner two = { .number = 2, .depth = 5, .parks = 1 };
    assert_int_equal(begin(&one), 0);
    assert_null(one.compact.saved);
    assert_int_equal(begin(&two), 0);
    assert_non_null(one.compact.saved);
    assert_ptr_equal(region.resident, &two.compact);

    assert_int_equal(resume(&one), 0);
    assert_non_null(two.compact.saved);
    assert_null(one.compact.saved);
    assert_true(one.is_ended);
    assert_null(region.resident);
    assert_int_equal(resume(&two), 0);
    assert_int_equal(one.wrong + two.wrong, 0);
}

/* Of all depths: from a few steps to more than the freelists serve. */
static void many_come_back_to_the_frames_that_they_left(void **state)
{
    (void)state;
    struct runner *runners = calloc(MANY, sizeof *runners);
    assert_non_null(runners);
    for (int i = 0; i < MANY; i++) {
        runners[i] = (struct runner){ .number = i, .depth = i * 7 % 40, .parks = 1 + i % 5 };
        assert_int_equal(begin(&runners[i]), 0);
    }
    for (size_t i = 0; i < (size_t)5 * MANY; i++) {
        struct runner *runner = &runners[i * 1237 % MANY]; /* a prime: all of them come */
        if (!runner->is_ended)
            assert_int_equal(resume(runner), 0);
    }
    for (int i = 0; i < MANY; i++) {
        assert_true(runners[i].is_ended);
        assert_int_equal(runners[i].wrong, 0);
        assert_int_equal(runners[i].parked, 1 + i % 5);
    }
    free(runners);
}

static void a_pinned_one_stays(void **state)
{
    (void)state;
    struct runner one = { .number = 1, .parks = 2 }, two = { .number = 2, .parks = 1 };
    assert_int_equal(begin(&two), 0);
    assert_int_equal(begin(&one), 0);
    weft_compact_pin(&region);
    const volatile char *lent = one.local;
    struct runner three = { .number = 3, .parks = 1 };

    assert_int_equal(begin(&three), -EBUSY);
    assert_int_equal(resume(&two), -EBUSY);

    assert_int_equal(*lent, 1);
    assert_int_equal(resume(&one), 0);
    weft_compact_unpin(&region);
    assert_int_equal(resume(&two), 0);
    assert_int_equal(resume(&one), 0);
    assert_true(one.is_ended && two.is_ended);
}

static void without_memory_the_prepared_one_is_still_copied(void **state)
{
    (void)state;
    struct runner one = { .number = 1, .depth = 20, .parks = 1 }; /* more than a small block */
    struct runner two = { .number = 2, .depth = 20, .parks = 1 };
    assert_int_equal(begin(&one), 0);

    faulty_fail_at(1);
    int rc = begin(&two); /* takes the spare block, and has to prepare another one */
    assert_true(faulty_stop());

    assert_int_equal(rc, 0);
    assert_int_equal(two.rc, 0);
    assert_int_equal(resume(&one), 0);
    assert_int_equal(resume(&two), 0);
    assert_int_equal(one.wrong + two.wrong, 0);
    assert_true(one.is_ended && two.is_ended);
}

/* The same for a small one, where it is the mapping for the freelists that fails. */
static int evict_without_mappings(void)
{
    struct runner one = { .number = 1, .parks = 1 }, two = { .number = 2, .parks = 1 };
    struct rlimit none = { 0 };
    if (begin(&one) != 0 || setrlimit(RLIMIT_AS, &none) != 0)
        return 1;
    if (begin(&two) != 0 || !one.compact.saved || blocks.chunks)
        return 2;
    if (resume(&one) != 0 || (!two.is_ended && resume(&two) != 0))
        return 3;
    for (int i = 0; i < WEFT_BLOCK_CLASSES; i++) {
        if (blocks.free[i])
            return 4; /* what came from malloc went into a freelist */
    }
    return one.wrong + two.wrong == 0 && one.is_ended && two.is_ended ? 0 : 5;
}

static void without_mappings_a_small_one_is_still_copied(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(evict_without_mappings());
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void who_cannot_be_prepared_is_told(void **state)
{
    (void)state;
    struct runner one = { .number = 1, .depth = 20, .parks = 1 };
    faulty_fail_at(1);
    int rc = begin(&one);
    assert_true(faulty_stop());
    assert_int_equal(rc, 0);
    assert_int_equal(one.rc, -ENOMEM);
    assert_int_equal(one.parked, 0);
    assert_true(one.is_ended);
}

static void a_region_knows_its_addresses(void **state)
{
    (void)state;
    struct runner one = { .number = 1, .parks = 1 };
    assert_int_equal(begin(&one), 0);
    assert_true(weft_region_has(&region, (const void *)(uintptr_t)one.local));
    assert_false(weft_region_has(&region, &one));
    assert_int_equal(resume(&one), 0);
}

static void a_size_that_cannot_be_is_an_error(void **state)
{
    (void)state;
    struct weft_region other;
    assert_int_equal(weft_region_init(&other, &blocks, 1), -EINVAL);
}

static int leave_one_behind(void *arg)
{
    (void)arg;
    struct runner one = { .number = 1, .parks = 1 };
    (void)setup(NULL);
    (void)begin(&one);
    weft_region_fini(&region);
    return 0;
}

static int enter_nobody(void *arg)
{
    (void)arg;
    struct weft_compact compact = { .saved = NULL };
    (void)setup(NULL);
    return weft_compact_enter(&region, &compact);
}

static void misuse_ends_the_program(void **state)
{
    (void)state;
    assert_dies(leave_one_behind, NULL, "a compact coroutine is still on its region at the end");
    assert_dies(enter_nobody, NULL, "a compact coroutine is entered that is not parked");
}

#define compact_unit_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        compact_unit_test(one_that_is_resumed_next_is_not_copied),
        compact_unit_test(the_resident_is_copied_when_another_comes),
        compact_unit_test(many_come_back_to_the_frames_that_they_left),
        compact_unit_test(a_pinned_one_stays),
        compact_unit_test(without_memory_the_prepared_one_is_still_copied),
        compact_unit_test(without_mappings_a_small_one_is_still_copied),
        compact_unit_test(who_cannot_be_prepared_is_told),
        compact_unit_test(a_region_knows_its_addresses),
        compact_unit_test(a_size_that_cannot_be_is_an_error),
        cmocka_unit_test(misuse_ends_the_program),
    };
    if (!weft_compact_is_possible())
        return 0; /* then ordinary stacks are used, which have their own tests */
    return berth_test_main(tests, NULL, NULL);
}
