/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <fenv.h>
#include <float.h>

#define STACK_BYTES ((size_t)256 << 10)

static struct weft_fiber main_fiber, other_fiber;
static int steps;
static volatile double kept_sum;

static void entry(void)
{
    weft_fiber_entered(&other_fiber);
    /* Many live values, so that the compiler keeps some in registers that the swap must keep. */
    double sum = 0.5;
    long a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
    for (;;) {
        steps++;
        weft_fiber_switch(&other_fiber, &main_fiber);
        a += b;
        b += c;
        c += d;
        d += e;
        e += f;
        f += 1;
        sum += (double)(a + b + c + d + e + f);
        kept_sum = sum;
    }
}

static char *stack_new(void)
{
    char *stack = aligned_alloc(64, STACK_BYTES);
    assert_non_null(stack);
    memset(stack, 0, STACK_BYTES);
    weft_fiber_adopt(&main_fiber);
    weft_fiber_make(&other_fiber, stack, STACK_BYTES, entry);
    steps = 0;
    kept_sum = 0;
    return stack;
}

static void registers_survive_a_swap(void **state)
{
    (void)state;
    char *stack = stack_new();
    double sum = 0.5, mine = 1.0;
    long a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
    for (int i = 0; i < 20; i++) {
        weft_fiber_switch(&main_fiber, &other_fiber);
        mine *= 1.5;
        if (i == 0)
            continue; /* the first one only goes to its first switch */
        a += b;
        b += c;
        c += d;
        d += e;
        e += f;
        f += 1;
        sum += (double)(a + b + c + d + e + f);
    }
    assert_int_equal(steps, 20);
    assert_true(kept_sum > sum - 1e-9 && kept_sum < sum + 1e-9);
    assert_true(mine > 3325.0 && mine < 3326.0);
    weft_fiber_fini(&other_fiber);
    free(stack);
}

static int rounding_inside[3];

static void rounding_entry(void)
{
    weft_fiber_entered(&other_fiber);
    rounding_inside[0] = fegetround();
    (void)fesetround(FE_DOWNWARD);
    weft_fiber_switch(&other_fiber, &main_fiber);
    rounding_inside[1] = fegetround();
    weft_fiber_switch(&other_fiber, &main_fiber);
    rounding_inside[2] = fegetround();
    for (;;)
        weft_fiber_switch(&other_fiber, &main_fiber);
}

static void the_rounding_mode_belongs_to_the_stack(void **state)
{
    (void)state;
    char *stack = stack_new();
    weft_fiber_fini(&other_fiber);
    weft_fiber_make(&other_fiber, stack, STACK_BYTES, rounding_entry);

    weft_fiber_switch(&main_fiber, &other_fiber);
    int after_first = fegetround();
    (void)fesetround(FE_UPWARD);
    weft_fiber_switch(&main_fiber, &other_fiber);
    int after_second = fegetround();
    (void)fesetround(FE_TONEAREST);
    weft_fiber_switch(&main_fiber, &other_fiber);

    assert_int_equal(rounding_inside[0], FE_TONEAREST);
    assert_int_equal(after_first, FE_TONEAREST);
    assert_int_equal(rounding_inside[1], FE_DOWNWARD);
    assert_int_equal(after_second, FE_UPWARD);
    assert_int_equal(rounding_inside[2], FE_DOWNWARD);
    weft_fiber_fini(&other_fiber);
    free(stack);
}

static size_t misaligned;

static void alignment_entry(void)
{
    weft_fiber_entered(&other_fiber);
    _Alignas(16) char local[16] = { 0 };
    misaligned = (uintptr_t)__builtin_frame_address(0) % 16 + (uintptr_t)local % 16;
    for (;;)
        weft_fiber_switch(&other_fiber, &main_fiber);
}

static void a_stack_begins_aligned_wherever_it_lies(void **state)
{
    (void)state;
    char *stack = stack_new();
    for (size_t less = 0; less < 64; less += 8) {
        weft_fiber_fini(&other_fiber);
        weft_fiber_make(&other_fiber, stack, STACK_BYTES - less, alignment_entry);
        misaligned = 99;

        weft_fiber_switch(&main_fiber, &other_fiber);

        assert_int_equal(misaligned, 0);
        const char *sp = weft_fiber_sp(&other_fiber);
        assert_true(sp == stack || (sp > stack && sp < stack + STACK_BYTES));
    }
    weft_fiber_fini(&other_fiber);
    free(stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_survive_a_swap),
        cmocka_unit_test(the_rounding_mode_belongs_to_the_stack),
        cmocka_unit_test(a_stack_begins_aligned_wherever_it_lies),
    };
    return berth_test_main(tests, NULL, NULL);
}
