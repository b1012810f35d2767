/* SPDX-License-Identifier: MIT */
#include "wefttest.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stack.h"
#include "stack_guard.h"
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

/* Reserves a stack without a cache: its class. */
static int reserve(size_t bytes)
{
    int size_class = weft_stack_class(bytes);
    if (size_class < 0)
        return size_class;
    int rc = weft_stack_reserve(NULL, size_class);
    return rc < 0 ? rc : size_class;
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
    assert_int_equal(reserve(WEFT_STACK_BYTES_MIN - 1), -EINVAL);
    assert_int_equal(reserve(WEFT_STACK_BYTES_MAX + 1), -EINVAL);
    static const size_t sizes[] = { WEFT_STACK_BYTES_MIN, 17 << 10, 64 << 10, (1 << 20) + 1 };
    static const size_t rounded[] = { WEFT_STACK_BYTES_MIN, 32 << 10, 64 << 10, 2 << 20 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int size_class = reserve(sizes[i]);
        assert_true(size_class >= 0);
        struct weft_stack *stack = weft_stack_take(NULL, size_class, entry);
        assert_in_range(stack->bytes, rounded[i] - 1024 - sizeof(struct weft_stack), rounded[i]);
        weft_stack_give(NULL, size_class, stack);
        weft_stack_unreserve(NULL, size_class);
    }
}

static void reserving_costs_addresses_but_no_mapping_each(void **state)
{
    (void)state;
    int size_class = 0;
    for (int i = 0; i < VERY_MANY; i++)
        size_class = reserve(64 << 10);
    assert_true(size_class >= 0);
    for (int i = 0; i < VERY_MANY; i++)
        weft_stack_unreserve(NULL, size_class);
}

static void the_stack_given_back_last_is_taken_first(void **state)
{
    (void)state;
    int size_class = reserve(64 << 10);
    assert_int_equal(reserve(64 << 10), size_class);
    struct weft_stack *first = weft_stack_take(NULL, size_class, entry);
    struct weft_stack *second = weft_stack_take(NULL, size_class, entry);
    assert_ptr_not_equal(first, second);
    weft_stack_give(NULL, size_class, first);
    weft_stack_give(NULL, size_class, second);

    assert_ptr_equal(weft_stack_take(NULL, size_class, entry), second);

    weft_stack_give(NULL, size_class, second);
    weft_stack_unreserve(NULL, size_class);
    weft_stack_unreserve(NULL, size_class);
}

static bool is_resident(char *page)
{
    unsigned char in_core = 0;
    assert_int_equal(mincore(page, 4096, &in_core), 0);
    return in_core & 1;
}

static void beyond_the_warm_ones_pages_go_back_when_idle(void **state)
{
    (void)state;
    if (WEFT_TSAN)
        skip(); /* each fiber is a thread to it, and it knows 8,000 at the most */
    struct weft_stack **stacks = calloc(MANY, sizeof(struct weft_stack *));
    char **lows = calloc(MANY, sizeof *lows);
    assert_non_null(stacks);
    assert_non_null(lows);
    int size_class = 0;
    for (int i = 0; i < MANY; i++) {
        size_class = reserve(16 << 10);
        stacks[i] = weft_stack_take(NULL, size_class, entry);
        lows[i] = stacks[i]->low;
        lows[i][4096] = 1;
    }
    assert_int_equal(weft_stack_trim(MANY), 0); /* they are all in use */
    for (int i = 0; i < MANY; i++) {
        weft_stack_give(NULL, size_class, stacks[i]);
        weft_stack_unreserve(NULL, size_class);
    }

    assert_int_equal(weft_stack_trim(100), 100);
    assert_int_equal(weft_stack_trim(MANY), MANY - WEFT_STACKS_WARM_MAX - 100);
    assert_int_equal(weft_stack_trim(MANY), 0);

    int resident = 0;
    for (int i = 0; i < MANY; i++)
        resident += is_resident(lows[i] + 4096);
    assert_int_equal(resident, WEFT_STACKS_WARM_MAX);

    /* And they can all be used again, guards and all. */
    weft_fiber_adopt(&main_fiber);
    for (int i = 0; i < MANY; i++) {
        (void)reserve(16 << 10);
        stacks[i] = current = weft_stack_take(NULL, size_class, entry);
        weft_fiber_switch(&main_fiber, &current->fiber);
        assert_true(current->is_guarded);
    }
    for (int i = 0; i < MANY; i++) {
        weft_stack_give(NULL, size_class, stacks[i]);
        weft_stack_unreserve(NULL, size_class);
    }
    free(lows);
    free(stacks);
}

static void a_cache_serves_its_owner_and_returns_all(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    struct weft_stack_cache cache;
    struct weft_stack *stacks[COUNT];
    int size_class = weft_stack_class(64 << 10);
    weft_stack_cache_init(&cache, size_class);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(weft_stack_reserve(&cache, size_class), 0);
            stacks[i] = weft_stack_take(&cache, size_class, entry);
            assert_true(stacks[i]->is_guarded);
            assert_true(cache.count <= cache.credits);
        }
        for (int i = 0; i < COUNT; i++) {
            weft_stack_give(&cache, size_class, stacks[i]);
            weft_stack_unreserve(&cache, size_class);
            assert_in_range(cache.count, 0, WEFT_STACK_CACHED_MAX);
            assert_in_range(cache.credits, cache.count, WEFT_STACK_CREDITS_MAX);
        }
        assert_int_equal(weft_stack_reserve(&cache, size_class), 0);
        assert_ptr_equal(weft_stack_take(&cache, size_class, entry), stacks[COUNT - 1]);
        weft_stack_give(&cache, size_class, stacks[COUNT - 1]);
        weft_stack_unreserve(&cache, size_class);
    }
    weft_stack_cache_fini(&cache);
    weft_stack_fini(); /* dies if a reservation is left */
}

static void what_one_cache_reserved_another_can_take(void **state)
{
    (void)state;
    struct weft_stack_cache caches[2];
    int size_class = weft_stack_class(64 << 10), other_class = weft_stack_class(256 << 10);
    weft_stack_cache_init(&caches[0], size_class);
    weft_stack_cache_init(&caches[1], other_class);
    assert_int_equal(weft_stack_reserve(&caches[0], size_class), 0);
    struct weft_stack *stack = weft_stack_take(&caches[1], size_class, entry);
    weft_stack_give(&caches[0], size_class, stack);
    weft_stack_unreserve(&caches[1], size_class);
    weft_stack_cache_fini(&caches[0]);
    weft_stack_cache_fini(&caches[1]);
    weft_stack_fini();
}

static void a_cache_keeps_no_stack_without_a_reservation(void **state)
{
    (void)state;
    struct weft_stack_cache cache;
    int size_class = reserve(64 << 10);
    weft_stack_cache_init(&cache, size_class);
    struct weft_stack *stack = weft_stack_take(NULL, size_class, entry);
    weft_stack_give(&cache, size_class, stack);
    weft_stack_unreserve(NULL, size_class);
    assert_int_equal(cache.count, 0); /* or the next reservation, from anywhere, would lack it */
}

static void an_unguarded_stack_that_was_trimmed_is_still_unguarded(void **state)
{
    (void)state;
    enum { COUNT = WEFT_STACKS_WARM_MAX + 8 };
    static struct weft_stack *stacks[COUNT];
    weft_stack_guard_set(WEFT_GUARD_NONE);
    int size_class = 0, guarded = 0;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            size_class = reserve(16 << 10);
            stacks[i] = weft_stack_take(NULL, size_class, entry);
            guarded += stacks[i]->is_guarded;
        }
        for (int i = 0; i < COUNT; i++) {
            weft_stack_give(NULL, size_class, stacks[i]);
            weft_stack_unreserve(NULL, size_class);
        }
        assert_int_equal(weft_stack_trim(COUNT), 8);
    }
    assert_int_equal(guarded, 0);
}

static uint64_t random_below(uint64_t limit)
{
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % limit;
}

static void a_random_walk_over_caches_never_lacks_a_stack(void **state)
{
    (void)state;
    enum { CACHES = 5, COUNT = 700, STEPS = 100000 };
    struct weft_stack_cache caches[CACHES];
    struct weft_stack *stacks[COUNT] = { NULL };
    bool is_reserved[COUNT] = { false };
    int size_class = weft_stack_class(16 << 10);
    for (int i = 0; i < CACHES; i++)
        weft_stack_cache_init(&caches[i], size_class);
    for (int i = 0; i < STEPS; i++) {
        size_t n = random_below(1 + random_below(COUNT)), which = random_below(CACHES + 1);
        struct weft_stack_cache *cache = which < CACHES ? &caches[which] : NULL;
        if (!is_reserved[n]) {
            assert_int_equal(weft_stack_reserve(cache, size_class), 0);
            is_reserved[n] = true;
        } else if (!stacks[n] && random_below(4) > 0) {
            stacks[n] = weft_stack_take(cache, size_class, entry); /* dies if there is none */
            stacks[n]->low[8] = (char)n;
        } else {
            if (stacks[n]) {
                assert_int_equal(stacks[n]->low[8], (char)n);
                weft_stack_give(cache, size_class, stacks[n]);
            }
            weft_stack_unreserve(cache, size_class);
            stacks[n] = NULL;
            is_reserved[n] = false;
        }
        if (cache)
            assert_true(cache->count <= cache->credits);
    }
    for (int i = 0; i < COUNT; i++) {
        if (stacks[i])
            weft_stack_give(NULL, size_class, stacks[i]);
        if (is_reserved[i])
            weft_stack_unreserve(NULL, size_class);
    }
    for (int i = 0; i < CACHES; i++)
        weft_stack_cache_fini(&caches[i]);
    weft_stack_fini();
}

static int touch(void *arg)
{
    volatile char *at = arg;
    *at = 1;
    return 0;
}

/* Whether touching a byte kills a process. */
static bool is_guarded_at(char *at)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)touch(at);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

/* From the byte below the stack on. */
static bool has_guard(const struct weft_stack *stack, size_t bytes)
{
    return is_guarded_at(stack->low - 1) && is_guarded_at(stack->low - bytes / 2) &&
           is_guarded_at(stack->low - bytes);
}

static void a_guard_is_as_large_as_its_stack_within_limits(void **state)
{
    (void)state;
    static const enum weft_stack_guard ways[] = { WEFT_GUARD_AUTO, WEFT_GUARD_MPROTECT };
    static const size_t sizes[] = { 16 << 10, 64 << 10, 256 << 10, 4 << 20 };
    static const size_t guards[] = { 64 << 10, 64 << 10, 256 << 10, 1 << 20 };
    for (size_t w = 0; w < 2; w++) {
        weft_stack_guard_set(ways[w]);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            int size_class = reserve(sizes[i]);
            struct weft_stack *stack = weft_stack_take(NULL, size_class, entry);
            assert_true(has_guard(stack, guards[i]));
            assert_ptr_equal(weft_stack_of_guard(stack->low - guards[i]), stack);
            weft_stack_give(NULL, size_class, stack);
            weft_stack_unreserve(NULL, size_class);
        }
        weft_stack_fini();
    }
}

static void below_every_stack_is_a_guard(void **state)
{
    (void)state;
    static const enum weft_stack_guard ways[] = { WEFT_GUARD_AUTO, WEFT_GUARD_MPROTECT };
    for (size_t w = 0; w < 2; w++) {
        weft_stack_guard_set(ways[w]);
        int size_class = reserve(64 << 10);
        (void)reserve(64 << 10);
        struct weft_stack *first = weft_stack_take(NULL, size_class, entry);
        struct weft_stack *second = weft_stack_take(NULL, size_class, entry);
        assert_true(first->is_guarded);
        assert_true(second->is_guarded);
        assert_true(has_guard(first, 64 << 10));
        assert_true(has_guard(second, 64 << 10));
        assert_ptr_equal(weft_stack_of_guard(first->low - 1), first);
        assert_null(weft_stack_of_guard(first->low));
        assert_null(weft_stack_of_guard(&first));
        weft_stack_give(NULL, size_class, first);
        weft_stack_give(NULL, size_class, second);
        weft_stack_unreserve(NULL, size_class);
        weft_stack_unreserve(NULL, size_class);
        weft_stack_fini();
    }
}

/* Runs fn in a process of its own, for what it changes stays: what it returned. */
static int in_child(int (*fn)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn());
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* From now on process_madvise() is an unknown call. */
static int forbid_process_madvise(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_madvise, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = 4, .filter = code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : -errno;
}

#define OLD_KERNEL_STACKS (WEFT_STACKS_WARM_MAX + 500)

static int work_on_an_old_kernel(void)
{
    static struct weft_stack *stacks[OLD_KERNEL_STACKS];
    static char *lows[OLD_KERNEL_STACKS];
    if (forbid_process_madvise() < 0)
        return 77;
    struct weft_stack_cache cache;
    int size_class = weft_stack_class(16 << 10), unguarded = 0, resident = 0;
    weft_stack_cache_init(&cache, size_class);
    for (int i = 0; i < OLD_KERNEL_STACKS; i++) {
        if (weft_stack_reserve(&cache, size_class) < 0)
            return 1;
        stacks[i] = weft_stack_take(&cache, size_class, entry);
        unguarded += !stacks[i]->is_guarded;
        lows[i] = stacks[i]->low;
        lows[i][4096] = 1;
    }
    for (int i = 0; i < OLD_KERNEL_STACKS; i++) {
        weft_stack_give(&cache, size_class, stacks[i]);
        weft_stack_unreserve(&cache, size_class);
    }
    weft_stack_cache_fini(&cache);
    size_t trimmed = weft_stack_trim(OLD_KERNEL_STACKS);
    for (int i = 0; i < OLD_KERNEL_STACKS; i++) {
        unsigned char in_core = 0;
        if (mincore(lows[i] + 4096, 4096, &in_core) != 0)
            return 2;
        resident += in_core & 1;
    }
    if (unguarded > 0)
        return 3;
    return trimmed == (size_t)(OLD_KERNEL_STACKS - resident) && trimmed >= 500 ? 0 : 4;
}

static void an_old_kernel_does_the_same_call_by_call(void **state)
{
    (void)state;
    int rc = in_child(work_on_an_old_kernel);
    if (rc == 77)
        skip(); /* not even allowed to forbid itself something */
    assert_int_equal(rc, 0);
}

/* Little address space: some of these reservations must be refused, and the others still hold. */
static int reserve_too_much(void)
{
    struct rlimit limit = { .rlim_cur = (size_t)2 << 30, .rlim_max = (size_t)2 << 30 };
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        return 1;
    int size_class = weft_stack_class(512 << 20), count = 0, rc = 0;
    while (rc == 0 && count < 100) {
        rc = weft_stack_reserve(NULL, size_class);
        count += rc == 0;
    }
    if (rc != -ENOMEM || count == 0)
        return 2;
    for (int i = 0; i < count; i++) {
        struct weft_stack *stack = weft_stack_take(NULL, size_class, entry);
        stack->low[0] = 1;
    }
    struct weft_stack_cache
        cache; /* what is left for others is nothing: the same through a cache */
    weft_stack_cache_init(&cache, size_class);
    return weft_stack_reserve(&cache, size_class) == -ENOMEM && cache.credits == 0 ? 0 : 3;
}

static void no_room_for_a_reservation_is_an_error(void **state)
{
    (void)state;
    if (TEST_IS_SLOW)
        skip(); /* the sanitizers' own memory is larger than any such limit */
    assert_int_equal(in_child(reserve_too_much), 0);
}

static void guards_by_mprotect_leave_the_program_its_mappings(void **state)
{
    (void)state;
    weft_stack_guard_set(WEFT_GUARD_MPROTECT);
    int size_class = 0;
    for (int i = 0; i < VERY_MANY; i++)
        size_class = reserve(16 << 10);
    assert_true(size_class >= 0); /* though so many would be twice as many mappings */

    void *mapping = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(mapping, MAP_FAILED);

    (void)munmap(mapping, 4096);
    for (int i = 0; i < VERY_MANY; i++)
        weft_stack_unreserve(NULL, size_class);
}

static void an_unguarded_stack_is_looked_at(void **state)
{
    (void)state;
    weft_stack_guard_set(WEFT_GUARD_NONE);
    int size_class = reserve(64 << 10);
    struct weft_stack *stack = weft_stack_take(NULL, size_class, entry);
    assert_false(stack->is_guarded);
    assert_true(weft_stack_is_intact(stack, stack->low + stack->bytes / 2));
    assert_false(weft_stack_is_intact(stack, stack->low - 16));

    stack->low[8] = 1;

    assert_false(weft_stack_is_intact(stack, stack->low + stack->bytes / 2));
    stack->low[8] = 0;
    weft_stack_give(NULL, size_class, stack);
    weft_stack_unreserve(NULL, size_class);
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

static int launch_compact(void *arg)
{
    struct weft_task_opts opts = { .compact = true };
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch_opts(&scope, NULL, go_deep, arg, &opts);
    return weft_scope_close(&scope, 0);
}

static int overflow_region(void *arg)
{
    weft_stack_guard_set(WEFT_GUARD_NONE);
    return weft_run(launch_compact, arg);
}

static void so_it_is_on_a_region(void **state)
{
    (void)state;
    if (TEST_IS_SLOW)
        skip(); /* as above */
    assert_dies(overflow_region, NULL, "stack overflow in coroutine '");
}

static int take_unreserved(void *arg)
{
    (void)arg;
    (void)weft_stack_take(NULL, 2, entry);
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
        stack_unit_test(beyond_the_warm_ones_pages_go_back_when_idle),
        stack_unit_test(a_cache_serves_its_owner_and_returns_all),
        stack_unit_test(what_one_cache_reserved_another_can_take),
        stack_unit_test(a_cache_keeps_no_stack_without_a_reservation),
        stack_unit_test(an_unguarded_stack_that_was_trimmed_is_still_unguarded),
        stack_unit_test(a_random_walk_over_caches_never_lacks_a_stack),
        stack_unit_test(a_guard_is_as_large_as_its_stack_within_limits),
        stack_unit_test(below_every_stack_is_a_guard),
        stack_unit_test(an_old_kernel_does_the_same_call_by_call),
        stack_unit_test(no_room_for_a_reservation_is_an_error),
        stack_unit_test(guards_by_mprotect_leave_the_program_its_mappings),
        stack_unit_test(an_unguarded_stack_is_looked_at),
        stack_unit_test(an_overflow_without_a_guard_is_found_at_the_next_park),
        stack_unit_test(so_it_is_on_a_region),
        stack_unit_test(taking_without_a_reservation_ends_the_program),
    };
    return berth_test_main(tests, NULL, NULL);
}
