/* SPDX-License-Identifier: MIT
 *
 * Who is named when a process dies of a signal. Each story is lived by a child process.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/culprit.h"

#define ATTEMPT ((UINT64_C(7) << 40) + 3)
#define OTHER   ((UINT64_C(7) << 40) + 4)

/* What it does, where an attempt runs. */
typedef int (*deed_fn)(void *arg);

static const uint64_t the_attempt = ATTEMPT, the_other = OTHER;

static int fault(void *arg)
{
    (void)arg;
    /* No NULL, which a sanitizer would see. */
    volatile char *page = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return *page;
}

static int sleep_and_fault(void *arg)
{
    (void)weft_sleep_ms(1);
    return fault(arg);
}

static int give_up(void *arg)
{
    (void)arg;
    abort();
}

static int sleep_long(void *arg)
{
    (void)arg;
    return weft_sleep_ms(60000);
}

static int killed_from_outside(void *arg)
{
    (void)arg;
    (void)kill(getpid(), SIGSEGV); /* as anybody else would */
    return sleep_long(arg);
}

static int leave(void *arg)
{
    (void)arg;
    _exit(3);
}

struct body {
    const uint64_t *attempt;
    deed_fn deed;
};

static int run_attempt(void *arg)
{
    const struct body *body = arg;
    struct weft_element element;
    struct weft_scope scope;
    weft_scope_open(&scope);
    culprit_note(&scope, body->attempt, &element);
    int rc = weft_launch(&scope, NULL, body->deed, NULL);
    return weft_scope_close(&scope, rc);
}

static struct fence *given_fence(void)
{
    const struct fence_birth birth = { .nonce = { 1 }, .child = 1 };
    struct fence *fence;
    assert_ok(fence_new(&birth, &fence, NULL));
    return fence;
}

/* The child's part; never returns. */
static void live(struct fence *fence, deed_fn deed, bool is_in_attempt)
{
    static const int cmockas[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS }; /* handles them */
    const struct rlimit no_core = { 0, 0 };
    (void)setrlimit(RLIMIT_CORE, &no_core);
    for (size_t i = 0; i < sizeof cmockas / sizeof *cmockas; i++)
        (void)signal(cmockas[i], SIG_DFL);
    if (culprit_watch(fence, NULL) < 0)
        _exit(99);
    struct body other = { &the_other, sleep_long }, body = { &the_attempt, deed };
    if (!weft_root_open(weft_io(), run_attempt, &other))
        _exit(98);
    if (is_in_attempt)
        (void)weft_run(run_attempt, &body);
    else
        (void)weft_run(deed, NULL);
    _exit(97);
}

static int status_of(struct fence *fence, deed_fn deed, bool is_in_attempt)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        live(fence, deed, is_in_attempt);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* With a sanitizer's own handler behind ours the end is another one. */
static void assert_signalled(int status, int signal)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    (void)signal;
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) < 97);
#else
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signal);
#endif
}

static void a_fault_names_the_attempt_on_its_thread_and_kills_as_before(void **state)
{
    (void)state;
    struct fence *fence = given_fence();

    assert_signalled(status_of(fence, fault, true), SIGSEGV);

    assert_true(fence_culprit(fence) == ATTEMPT);
    fence_free(fence);
}

static void after_a_wait_it_is_still_the_same_attempt(void **state)
{
    (void)state;
    struct fence *fence = given_fence();

    assert_signalled(status_of(fence, sleep_and_fault, true), SIGSEGV);

    assert_true(fence_culprit(fence) == ATTEMPT);
    fence_free(fence);
}

static void an_abort_names_its_attempt(void **state)
{
    (void)state;
    struct fence *fence = given_fence();

    assert_signalled(status_of(fence, give_up, true), SIGABRT);

    assert_true(fence_culprit(fence) == ATTEMPT);
    fence_free(fence);
}

static void a_fault_outside_of_attempts_names_nobody(void **state)
{
    (void)state;
    struct fence *fence = given_fence();

    assert_signalled(status_of(fence, fault, false), SIGSEGV);

    assert_true(fence_culprit(fence) == 0);
    fence_free(fence);
}

static void a_signal_from_outside_names_nobody(void **state)
{
    (void)state;
    struct fence *fence = given_fence();

    assert_signalled(status_of(fence, killed_from_outside, true), SIGSEGV);

    assert_true(fence_culprit(fence) == 0);
    fence_free(fence);
}

static void an_exit_names_nobody(void **state)
{
    (void)state;
    struct fence *fence = given_fence();

    int status = status_of(fence, leave, true);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_true(fence_culprit(fence) == 0);
    fence_free(fence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_names_the_attempt_on_its_thread_and_kills_as_before),
        cmocka_unit_test(after_a_wait_it_is_still_the_same_attempt),
        cmocka_unit_test(an_abort_names_its_attempt),
        cmocka_unit_test(a_fault_outside_of_attempts_names_nobody),
        cmocka_unit_test(a_signal_from_outside_names_nobody),
        cmocka_unit_test(an_exit_names_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
