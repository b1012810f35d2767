/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stack.h"
#include "tree.h"

#define MANY      5000
#define VERY_MANY (WEFT_ASAN ? 5000 : 100000) /* to LeakSanitizer each one is a region */

static struct weft_fiber main_fiber;
static struct weft_stack *current;

/* What runs on the stacks here: it only comes back. */
static void entry(void)
{
    weft_fiber_entered(&current->fiber);
    for (;;)
        weft_fiber_switch(&current->fiber, &main_fiber);
}

static int teardown(void **state)
{
    (void)state;
    weft_stack_fini();
    weft_stack_guard_set(WEFT_GUARD_AUTO);
    return 0;
}

static void a_size_is_rounded_up_to_its_class(void **state)
{
    (void)state;
    assert_int_equal(weft_stack_reserve(WEFT_STACK_BYTES_MIN - 1), -EINVAL);
    assert_int_equal(weft_stack_reserve(WEFT_STACK_BYTES_MAX + 1), -EINVAL);
    static const size_t sizes[] = { WEFT_STACK_BYTES_MIN, 17 << 10, 64 << 10, (1 << 20) + 1 };
    static const size_t rounded[] = { WEFT_STACK_BYTES_MIN, 32 << 10, 64 << 10, 2 << 20 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int size_class = weft_stack_reserve(sizes[i]);
        assert_true(size_class >= 0);
        struct weft_stack *stack = weft_stack_take(size_class, entry);
        assert_in_range(stack->bytes, rounded[i] - 1024, rounded[i]);
        weft_stack_give(size_class, stack);
        weft_stack_unreserve(size_class);
    }
}

static void reserving_costs_addresses_but_no_mapping_each(void **state)
{
    (void)state;
    int size_class = 0;
    for (int i = 0; i < VERY_MANY; i++)
        size_class = weft_stack_reserve(64 << 10);
    assert_true(size_class >= 0);
    for (int i = 0; i < VERY_MANY; i++)
        weft_stack_unreserve(size_class);
}

static void the_stack_given_back_last_is_taken_first(void **state)
{
    (void)state;
    int size_class = weft_stack_reserve(64 << 10);
    assert_int_equal(weft_stack_reserve(64 << 10), size_class);
    struct weft_stack *first = weft_stack_take(size_class, entry);
    struct weft_stack *second = weft_stack_take(size_class, entry);
    assert_ptr_not_equal(first, second);
    weft_stack_give(size_class, first);
    weft_stack_give(size_class, second);

    assert_ptr_equal(weft_stack_take(size_class, entry), second);

    weft_stack_give(size_class, second);
    weft_stack_unreserve(size_class);
    weft_stack_unreserve(size_class);
}

static bool is_resident(char *page)
{
    unsigned char in_core = 0;
    assert_int_equal(mincore(page, 4096, &in_core), 0);
    return in_core & 1;
}

static void beyond_the_warm_ones_pages_go_back_to_the_kernel(void **state)
{
    (void)state;
    if (WEFT_TSAN)
        skip(); /* each fiber is a thread to it, and it knows 8,000 at the most */
    struct weft_stack **stacks = calloc(MANY, sizeof(struct weft_stack *));
    assert_non_null(stacks);
    int size_class = 0;
    for (int i = 0; i < MANY; i++) {
        size_class = weft_stack_reserve(16 << 10);
        stacks[i] = weft_stack_take(size_class, entry);
        stacks[i]->low[4096] = 1;
    }
    int resident = 0;
    for (int i = 0; i < MANY; i++)
        weft_stack_give(size_class, stacks[i]);
    for (int i = 0; i < MANY; i++) {
        resident += is_resident(stacks[i]->low + 4096);
        weft_stack_unreserve(size_class);
    }
    assert_in_range(resident, 1, MANY / 2);

    /* And they can be used again. */
    (void)weft_stack_reserve(16 << 10);
    struct weft_stack *stack = weft_stack_take(size_class, entry);
    weft_fiber_adopt(&main_fiber);
    current = stack;
    weft_fiber_switch(&main_fiber, &stack->fiber);
    weft_stack_give(size_class, stack);
    weft_stack_unreserve(size_class);
    free(stacks);
}

static int touch_below(void *arg)
{
    volatile char *low = arg;
    low[-1] = 1;
    return 0;
}

/* Whether touching the byte below the stack kills a process. */
static bool has_guard(const struct weft_stack *stack)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)touch_below(stack->low);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static void below_every_stack_is_a_guard(void **state)
{
    (void)state;
    static const enum weft_stack_guard ways[] = { WEFT_GUARD_AUTO, WEFT_GUARD_MPROTECT };
    for (size_t w = 0; w < 2; w++) {
        weft_stack_guard_set(ways[w]);
        int size_class = weft_stack_reserve(64 << 10);
        (void)weft_stack_reserve(64 << 10);
        struct weft_stack *first = weft_stack_take(size_class, entry);
        struct weft_stack *second = weft_stack_take(size_class, entry);
        assert_true(first->is_guarded);
        assert_true(second->is_guarded);
        assert_true(has_guard(first));
        assert_true(has_guard(second));
        assert_ptr_equal(weft_stack_of_guard(first->low - 1), first);
        assert_null(weft_stack_of_guard(first->low));
        assert_null(weft_stack_of_guard(&first));
        weft_stack_give(size_class, first);
        weft_stack_give(size_class, second);
        weft_stack_unreserve(size_class);
        weft_stack_unreserve(size_class);
        weft_stack_fini();
    }
}

static void guards_by_mprotect_leave_the_program_its_mappings(void **state)
{
    (void)state;
    weft_stack_guard_set(WEFT_GUARD_MPROTECT);
    int size_class = 0;
    for (int i = 0; i < VERY_MANY; i++)
        size_class = weft_stack_reserve(16 << 10);
    assert_true(size_class >= 0); /* though so many would be twice as many mappings */

    void *mapping = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(mapping, MAP_FAILED);

    (void)munmap(mapping, 4096);
    for (int i = 0; i < VERY_MANY; i++)
        weft_stack_unreserve(size_class);
}

static void an_unguarded_stack_is_looked_at(void **state)
{
    (void)state;
    weft_stack_guard_set(WEFT_GUARD_NONE);
    int size_class = weft_stack_reserve(64 << 10);
    struct weft_stack *stack = weft_stack_take(size_class, entry);
    assert_false(stack->is_guarded);
    assert_true(weft_stack_is_intact(stack, stack->low + stack->bytes / 2));
    assert_false(weft_stack_is_intact(stack, stack->low - 16));

    stack->low[8] = 1;

    assert_false(weft_stack_is_intact(stack, stack->low + stack->bytes / 2));
    stack->low[8] = 0;
    weft_stack_give(size_class, stack);
    weft_stack_unreserve(size_class);
}

/* Goes on until it is below its stack, where the guard is not, but not as far as the next one's. */
/* NOLINTNEXTLINE(misc-no-recursion): that is what is tested */
static int go_deep(void *arg)
{
    volatile char local[512];
    local[0] = 1;
    if (&local[0] > weft_self()->stack->low)
        (void)go_deep(arg);
    return weft_yield() + local[0] - 1;
}

static int overflow(void *arg)
{
    weft_stack_guard_set(WEFT_GUARD_NONE);
    return weft_run(go_deep, arg);
}

static void an_overflow_without_a_guard_is_found_at_the_next_park(void **state)
{
    (void)state;
    if (TEST_IS_SLOW)
        skip(); /* a sanitizer's frames are of another size */
    assert_dies(overflow, NULL, "stack overflow in coroutine '");
}

static int take_unreserved(void *arg)
{
    (void)arg;
    (void)weft_stack_take(2, entry);
    return 0;
}

static void taking_without_a_reservation_ends_the_program(void **state)
{
    (void)state;
    assert_dies(take_unreserved, NULL, "a stack was taken that nobody reserved");
}

#define stack_unit_test(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        stack_unit_test(a_size_is_rounded_up_to_its_class),
        stack_unit_test(reserving_costs_addresses_but_no_mapping_each),
        stack_unit_test(the_stack_given_back_last_is_taken_first),
        stack_unit_test(beyond_the_warm_ones_pages_go_back_to_the_kernel),
        stack_unit_test(below_every_stack_is_a_guard),
        stack_unit_test(guards_by_mprotect_leave_the_program_its_mappings),
        stack_unit_test(an_unguarded_stack_is_looked_at),
        stack_unit_test(an_overflow_without_a_guard_is_found_at_the_next_park),
        stack_unit_test(taking_without_a_reservation_ends_the_program),
    };
    return berth_test_main(tests, NULL, NULL);
}
