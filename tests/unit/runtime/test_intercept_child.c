/* SPDX-License-Identifier: MIT
 *
 * Children of coroutines whose libc calls park. `threads = 1` gives weft_virtual() one thread;
 * where a spare would hide that a call holds its thread, there is a pool of one.
 */
#include "wefttest.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 20

extern char **environ;

/* Starting one holds its thread: that may be compensated. */
#define child_test(f) cmocka_unit_test_setup_teardown(f, one_thread, weft_test_teardown)

/* A shell that runs a command; negative: -errno. */
static pid_t start(const char *command)
{
    char shell[] = "/bin/sh", option[] = "-c", *text = strdup(command);
    if (!text)
        return -ENOMEM;
    char *argv[] = { shell, option, text, NULL };
    pid_t pid;
    int rc = posix_spawn(&pid, shell, NULL, NULL, argv, environ);
    free(text);
    return rc == 0 ? pid : -rc;
}

struct on_pool {
    weft_fn fn;
    void *arg;
};

static int run_intercepted(void *arg)
{
    const struct on_pool *on_pool = arg;
    (void)weft_intercept(true);
    return on_pool->fn(on_pool->arg);
}

/* Runs fn(arg) on a pool of one thread, for which there is no spare: whoever held it would stop
 * everybody, for ever. */
static int run_on_pool(weft_fn fn, void *arg)
{
    struct weft_dispatcher *pool;
    struct on_pool on_pool = { .fn = fn, .arg = arg };
    int rc = weft_pool_open(1, "pool", &pool);
    if (rc < 0)
        return rc;
    rc = weft_root_close(weft_root_open(pool, run_intercepted, &on_pool));
    int closed = weft_pool_close(pool);
    return rc < 0 ? rc : closed;
}

/* ---- one that is named ----------------------------------------------------------------------- */

enum how { BY_WAITPID, BY_WAIT4, BY_WAITID, BY_PIDFD, ONE_COUNT, BY_WAIT3 = ONE_COUNT, BY_WAIT };

/* The child ends when its standard input does: when somebody else on this thread closes it. */
struct held {
    enum how how;
    int fds[2];
    pid_t pid;
    int status;
    atomic_bool is_waiting;
    siginfo_t info;
    struct rusage usage;
    int rc[6], error[6];
};

static int start_held(struct held *h)
{
    if (pipe(h->fds) < 0)
        return -errno;
    h->pid = fork();
    if (h->pid == 0) {
        (void)dup2(h->fds[0], STDIN_FILENO);
        (void)close(h->fds[0]);
        (void)close(h->fds[1]);
        (void)execl("/bin/sh", "sh", "-c", "read line; exit 7", (char *)NULL);
        _exit(127);
    }
    return h->pid < 0 ? -errno : 0;
}

static int let_go(void *arg)
{
    struct held *h = arg;
    int rc = test_await(&h->is_waiting) ? 0 : -ETIMEDOUT;
    (void)close(h->fds[0]);
    (void)close(h->fds[1]);
    return rc;
}

static pid_t wait_by_pidfd(struct held *h)
{
    int fd = (int)syscall(SYS_pidfd_open, h->pid, 0);
    int rc = waitid((idtype_t)P_PIDFD, (id_t)fd, &h->info, WEXITED);
    (void)close(fd);
    return rc == 0 ? h->info.si_pid : -1;
}

static pid_t wait_held(struct held *h)
{
    switch (h->how) {
    case BY_WAITPID: return waitpid(h->pid, &h->status, 0);
    case BY_WAIT4: return wait4(h->pid, &h->status, 0, &h->usage);
    case BY_WAITID:
        return waitid(P_PID, (id_t)h->pid, &h->info, WEXITED) == 0 ? h->info.si_pid : -1;
    case BY_PIDFD: return wait_by_pidfd(h);
    case BY_WAIT3: return wait3(&h->status, 0, &h->usage);
    case BY_WAIT: return wait(&h->status);
    }
    return -1;
}

static int await_held(void *arg)
{
    struct held *h = arg;
    int rc = start_held(h);
    if (rc < 0)
        return rc;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, let_go, h);
    h->rc[0] = waitpid(h->pid, &h->status, WNOHANG);
    h->is_waiting = true;
    h->rc[1] = wait_held(h);
    errno = 0;
    h->rc[2] = waitpid(h->pid, NULL, 0);
    h->error[2] = errno;
    return weft_scope_close(&scope, 0);
}

static void assert_has_ended_with_7(const struct held *h)
{
    if (h->how == BY_WAITID || h->how == BY_PIDFD) {
        assert_int_equal(h->info.si_code, CLD_EXITED);
        assert_int_equal(h->info.si_status, 7);
    } else {
        assert_true(WIFEXITED(h->status));
        assert_int_equal(WEXITSTATUS(h->status), 7);
    }
}

static void waiting_for_a_child_parks(void **state)
{
    (void)state;
    for (int how = BY_WAITPID; how < ONE_COUNT; how++) {
        struct held h = { .how = (enum how)how };

        assert_int_equal(run_on_pool(await_held, &h), 0);

        assert_int_equal(h.rc[0], 0);
        assert_int_equal(h.rc[1], h.pid);
        assert_has_ended_with_7(&h);
        assert_int_equal(h.rc[2], -1);
        assert_int_equal(h.error[2], ECHILD);
    }
}

/* ---- many, and any --------------------------------------------------------------------------- */

/* Shells that wait until all are waited for: each reads a line, and the lines come then. */
struct line {
    int fds[2];
    char command[64];
    atomic_int awaited;
};

static void line_open(struct line *line)
{
    *line = (struct line){ .awaited = 0 };
    assert_int_equal(pipe2(line->fds, O_CLOEXEC), 0);
    (void)snprintf(line->command, sizeof line->command, "read line </proc/%d/fd/%d", (int)getpid(),
                   line->fds[0]);
}

static void line_close(struct line *line)
{
    (void)close(line->fds[0]);
    (void)close(line->fds[1]);
}

static int write_lines(void *arg)
{
    struct line *line = arg;
    int rc = 0;
    while (line->awaited < CHILDREN && rc == 0)
        rc = weft_sleep_ms(1);
    for (int i = 0; i < CHILDREN; i++) {
        if (write(line->fds[1], "\n", 1) != 1)
            return -errno;
    }
    return rc;
}

/* Coroutine: runs fn(line) for each child, and lets them go. */
static int await_all_children(struct line *line, weft_fn fn)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_scope_deadline(&scope, weft_deadline_ms(TEST_WAIT_MS));
    weft_launch(&scope, NULL, write_lines, line);
    for (int i = 0; i < CHILDREN; i++)
        weft_launch(&scope, NULL, fn, line);
    return weft_scope_close(&scope, 0);
}

struct many {
    struct line line;
    pid_t pids[CHILDREN];
};

static int wait_for_one_of_many(void *arg)
{
    struct many *many = arg;
    int status = -1;
    (void)weft_intercept(true);
    pid_t pid = many->pids[many->line.awaited++];
    return waitpid(pid, &status, 0) == pid && status == 0 ? 0 : -EIO;
}

static int wait_for_many(void *arg)
{
    return await_all_children(arg, wait_for_one_of_many);
}

static void one_thread_waits_for_many(void **state)
{
    (void)state;
    struct many many;
    line_open(&many.line);
    for (int i = 0; i < CHILDREN; i++) {
        many.pids[i] = start(many.line.command);
        assert_true(many.pids[i] > 0);
    }

    assert_int_equal(run_on_pool(wait_for_many, &many), 0);

    line_close(&many.line);
}

static int wait_for_any(void *arg)
{
    struct held *h = arg;
    int rc = start_held(h);
    if (rc < 0)
        return rc;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, let_go, h);
    h->is_waiting = true;
    h->rc[0] = wait_held(h);
    h->rc[1] = h->how == BY_WAIT || h->usage.ru_maxrss > 0;
    h->rc[2] = wait(NULL);
    h->error[2] = errno;
    return weft_scope_close(&scope, 0);
}

static void waiting_for_any_child_holds_nobody_up(void **state)
{
    (void)state;
    for (int how = BY_WAIT3; how <= BY_WAIT; how++) {
        struct held h = { .how = (enum how)how };

        assert_int_equal(run_on_pool(wait_for_any, &h), 0);

        assert_int_equal(h.rc[0], h.pid);
        assert_has_ended_with_7(&h);
        assert_true(h.rc[1]);
        assert_int_equal(h.rc[2], -1);
        assert_int_equal(h.error[2], ECHILD);
    }
}

static int wait_for_stop(void *arg)
{
    struct held *h = arg;
    pid_t pid = start("kill -STOP $$; exit 3");
    if (pid < 0)
        return pid;
    h->rc[0] = waitpid(pid, &h->status, WUNTRACED) == pid && WIFSTOPPED(h->status);
    (void)kill(pid, SIGCONT);
    h->rc[1] = waitpid(pid, &h->status, 0) == pid && WEXITSTATUS(h->status) == 3;
    return 0;
}

static void a_child_that_stops_is_told(void **state)
{
    (void)state;
    struct held h = { .pid = 0 };

    assert_int_equal(run_virtual(wait_for_stop, &h), 0);

    assert_true(h.rc[0]);
    assert_true(h.rc[1]);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static int await_cancelled(void *arg)
{
    struct held *h = arg;
    int rc = start_held(h);
    h->is_waiting = true;
    h->rc[0] = waitpid(h->pid, &h->status, 0);
    h->error[0] = errno;
    (void)let_go(h);
    (void)weft_intercept(false);
    h->rc[1] = waitpid(h->pid, &h->status, 0);
    return rc;
}

static void cancelling_ends_the_wait_and_leaves_the_child(void **state)
{
    (void)state;
    struct held h = { .pid = 0 };
    struct weft_task *root = weft_root_open(weft_virtual(), await_cancelled, &h);
    assert_true(test_block_until(&h.is_waiting));

    weft_cancel(root);

    assert_int_equal(weft_root_close(root), 0);
    assert_int_equal(h.rc[0], -1);
    assert_int_equal(h.error[0], ECANCELED);
    assert_int_equal(h.rc[1], h.pid);
}

/* ---- the shell ------------------------------------------------------------------------------- */

struct shell {
    int rc[4];
    char line[32];
    struct line input;
};

static int system_reads(void *arg)
{
    struct line *line = arg;
    (void)weft_intercept(true);
    line->awaited++;
    return system(line->command) == 0 ? 0 : -EIO;
}

static int run_systems(void *arg)
{
    struct shell *s = arg;
    char command[] = "exit 5"; /* on the coroutine's stack */
    s->rc[0] = system(command);
    s->rc[1] = system(NULL);
    return await_all_children(&s->input, system_reads);
}

static void system_holds_nobody_up(void **state)
{
    (void)state;
    struct shell s;
    line_open(&s.input);

    assert_int_equal(run_on_pool(run_systems, &s), 0);

    assert_int_equal(WEXITSTATUS(s.rc[0]), 5);
    assert_int_not_equal(s.rc[1], 0);
    line_close(&s.input);
}

static int run_popen(void *arg)
{
    struct shell *s = arg;
    FILE *file = popen("echo hello; exit 4", "r");
    if (!file)
        return -errno;
    s->rc[0] = fgets(s->line, sizeof s->line, file) ? 1 : 0;
    s->rc[1] = pclose(file);
    s->rc[2] = popen("true", "nonsense") ? 1 : errno;
    return 0;
}

static void popen_and_pclose_work(void **state)
{
    (void)state;
    struct shell s = { .line = "" };

    assert_int_equal(run_virtual(run_popen, &s), 0);

    assert_int_equal(s.rc[0], 1);
    assert_string_equal(s.line, "hello\n");
    assert_int_equal(WEXITSTATUS(s.rc[1]), 4);
    assert_int_equal(s.rc[2], EINVAL);
}

struct piped {
    pid_t pid;
    atomic_bool is_closing;
    int rc;
};

static int close_shell(void *arg)
{
    struct piped *p = arg;
    char line[16] = "";
    (void)weft_intercept(true);
    FILE *file = popen("echo $$; exec sleep 20", "r");
    if (!file)
        return -errno;
    p->pid = fgets(line, sizeof line, file) ? (pid_t)strtol(line, NULL, 10) : 0;
    p->is_closing = true;
    p->rc = pclose(file);
    return p->pid > 1 ? 0 : -EIO;
}

static int end_shell(void *arg)
{
    struct piped *p = arg;
    bool is_closing = test_await(&p->is_closing);
    return is_closing && p->pid > 1 && kill(p->pid, SIGTERM) == 0 ? 0 : -ETIMEDOUT;
}

static int close_and_end_shell(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, close_shell, arg);
    weft_launch(&scope, NULL, end_shell, arg);
    return weft_scope_close(&scope, 0);
}

/* If pclose() held the thread, the command would end by itself, and not be killed. */
static void pclose_holds_nobody_up(void **state)
{
    (void)state;
    struct piped p = { .pid = 0 };

    assert_int_equal(run_on_pool(close_and_end_shell, &p), 0);

    assert_true(WIFSIGNALED(p.rc));
    assert_int_equal(WTERMSIG(p.rc), SIGTERM);
}

/* ---- the mask of signals --------------------------------------------------------------------- */

#define TERM_ITSELF "kill -TERM $$; exit 1"

static int spawn_term(void)
{
    int status = 0;
    pid_t pid = start(TERM_ITSELF);
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

static int fork_term(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl("/bin/sh", "sh", "-c", TERM_ITSELF, (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

static int popen_term(void)
{
    FILE *file = popen(TERM_ITSELF, "r");
    return file ? pclose(file) : -1;
}

static int start_in_all_ways(void *arg)
{
    struct shell *s = arg;
    s->rc[0] = spawn_term();
    s->rc[1] = fork_term();
    s->rc[2] = system("exec sh -c '" TERM_ITSELF "'");
    s->rc[3] = popen_term();
    return 0;
}

/* weft's threads block SIGTERM: a child that inherited that would not die of it. */
static void children_have_the_programs_mask(void **state)
{
    (void)state;
    struct shell s = { .line = "" };

    assert_int_equal(run_virtual(start_in_all_ways, &s), 0);

    for (int i = 0; i < 4; i++) {
        assert_true(WIFSIGNALED(s.rc[i]));
        assert_int_equal(WTERMSIG(s.rc[i]), SIGTERM);
    }
}

/* ---- after fork ------------------------------------------------------------------------------ */

static pthread_mutex_t contended = PTHREAD_MUTEX_INITIALIZER;

static int want(void *arg)
{
    atomic_bool *has_tried = arg;
    *has_tried = true;
    return pthread_mutex_lock(&contended) == 0 && pthread_mutex_unlock(&contended) == 0 ? 0 : -EIO;
}

/* The child sleeps, waits for a child of its own, and unlocks what a coroutine is parked on. */
static int child_life(void)
{
    (void)usleep(1000); /* sleeps: and does not park */
    if (pthread_mutex_unlock(&contended) != 0)
        return 1;
    int status = 0;
    pid_t pid = start("exit 9");
    return waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 9 ? 0 : 2;
}

static int fork_while_others_wait(void *arg)
{
    int *status = arg;
    atomic_bool has_tried = false;
    (void)pthread_mutex_lock(&contended);
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, want, &has_tried);
    int rc = test_await(&has_tried) ? 0 : -ETIMEDOUT;
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_life());
    (void)pthread_mutex_unlock(&contended);
    if (waitpid(pid, status, 0) != pid)
        rc = -EIO;
    return weft_scope_close(&scope, rc);
}

static void in_a_child_of_fork_nothing_parks(void **state)
{
    (void)state;
    int status = -1;

    assert_int_equal(run_virtual(fork_while_others_wait, &status), 0);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        child_test(waiting_for_a_child_parks),
        one_thread_test(one_thread_waits_for_many),
        child_test(waiting_for_any_child_holds_nobody_up),
        child_test(a_child_that_stops_is_told),
        child_test(cancelling_ends_the_wait_and_leaves_the_child),
        child_test(system_holds_nobody_up),
        child_test(popen_and_pclose_work),
        child_test(pclose_holds_nobody_up),
        child_test(children_have_the_programs_mask),
        child_test(in_a_child_of_fork_nothing_parks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
