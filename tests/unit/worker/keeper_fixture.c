/* SPDX-License-Identifier: MIT */
#include "keeper_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "worker/cgroup.h"
#include "worker/reap.h"

/* test_keeper --keeper LIFE DIR URL with|without|alone STOP_MS */
static int keeper_main(int argc, char **argv)
{
    struct keeper_opts opts = { .argc = argc,
                                .argv = argv,
                                .broker_url = argv[4],
                                .stop_ms = strtol(argv[6], NULL, 10),
                                .is_without_cgroup = strcmp(argv[5], "without") == 0,
                                .is_alone = strcmp(argv[5], "alone") == 0 };
    berth_log_init("keeper", BERTH_LOG_ERROR);
    return keeper_run(&opts);
}

bool keeper_part(int argc, char **argv, int *ret_code)
{
    /* test_keeper --child FD --keeper LIFE DIR URL CGROUP STOP_MS */
    if (argc == 9 && strcmp(argv[1], "--child") == 0)
        *ret_code = keeper_live((int)strtol(argv[2], NULL, 10), argv[4], argv[5]);
    else if (argc == 7 && strcmp(argv[1], "--keeper") == 0)
        *ret_code = keeper_main(argc, argv);
    else if (argc == 8 && strcmp(argv[1], "--alone") == 0) /* before --keeper */
        *ret_code = keeper_live_alone(argv[4]);
    else
        return false;
    return true;
}

int keeper_group_setup(void **state)
{
    (void)state;
    return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* Keepers that were killed leave their groups; the next one to come removes them. */
int keeper_group_teardown(void **state)
{
    (void)state;
    BERTH_AUTO(cgroup) cgroup = NULL;
    (void)cgroup_open(&cgroup);
    return 0;
}

static void make_fifo(const struct fixture *f, const char *name)
{
    BERTH_AUTO_MEM char *path = tempdir_path(f->dir, name);
    assert_int_equal(mkfifo(path, 0600), 0);
}

int keeper_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->broker = broker_new();
    f->stop_ms = LIFE_SHORT_MS;
    f->dir = tempdir_new();
    make_fifo(f, "child");
    make_fifo(f, "alive");
    make_fifo(f, "up");
    make_fifo(f, "go");
    f->child_fd = keeper_open_in(f->dir, "child", O_RDWR | O_CLOEXEC);
    f->alive_fd = keeper_open_in(f->dir, "alive", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    f->go_fd = keeper_open_in(f->dir, "go", O_RDWR | O_CLOEXEC);
    assert_true(f->child_fd >= 0 && f->alive_fd >= 0 && f->go_fd >= 0);
    *state = f;
    return 0;
}

int keeper_setup_without_cgroup(void **state)
{
    int rc = keeper_setup(state);
    ((struct fixture *)*state)->is_without_cgroup = true;
    return rc;
}

int keeper_teardown(void **state)
{
    struct fixture *f = *state;
    /* Whatever is left of the keeper's family has come to hang under us. */
    do
        (void)reap_kill_children(NULL);
    while (waitpid(-1, NULL, 0) > 0);
    broker_free(f->broker);
    (void)close(f->child_fd);
    (void)close(f->alive_fd);
    (void)close(f->go_fd);
    tempdir_free(f->dir);
    free(f);
    return 0;
}

void start_keeper(struct fixture *f, const char *life)
{
    f->keeper = fork();
    assert_true(f->keeper >= 0);
    if (f->keeper > 0)
        return;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    char stop_ms[24];
    (void)snprintf(stop_ms, sizeof stop_ms, "%lld", (long long)f->stop_ms);
    (void)execl("/proc/self/exe", "test_keeper", "--keeper", life, f->dir, broker_url(f->broker),
                f->is_alone            ? "alone"
                : f->is_without_cgroup ? "without"
                                       : "with",
                stop_ms, (char *)NULL);
    _exit(9);
}

void await_line(const struct fixture *f, char line[static LIFE_LINE_BYTES_MAX])
{
    for (size_t at = 0; at + 1 < LIFE_LINE_BYTES_MAX; at++) {
        struct pollfd ready = { .fd = f->child_fd, .events = POLLIN };
        assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
        assert_int_equal(read(f->child_fd, &line[at], 1), 1);
        line[at + 1] = '\0';
        if (line[at] == '\n')
            return;
    }
    fail_msg("a line without an end: %s", line);
}

void assert_line(const struct fixture *f, const char *want)
{
    char line[LIFE_LINE_BYTES_MAX];
    await_line(f, line);
    assert_string_equal(line, want);
}

struct born read_born(const char *line)
{
    char *at;
    struct born born = { .number = (unsigned)strtoul(line, &at, 10) };
    born.epoch_seen = (unsigned)strtoul(at, &at, 10);
    born.pid = (pid_t)strtol(at, NULL, 10);
    assert_true(born.pid > 0);
    return born;
}

struct born await_born(const struct fixture *f)
{
    char line[LIFE_LINE_BYTES_MAX];
    await_line(f, line);
    return read_born(line);
}

bool is_anyone_alive(const struct fixture *f)
{
    char byte;
    return read(f->alive_fd, &byte, 1) < 0;
}

void await_all_dead(const struct fixture *f)
{
    struct pollfd gone = { .fd = f->alive_fd };
    assert_int_equal(poll(&gone, 1, DEADLINE_MS), 1);
    assert_true(gone.revents & POLLHUP);
}

int await_keeper_exit(struct fixture *f)
{
    int fd = pidfd_open(f->keeper, 0), status;
    assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, DEADLINE_MS), 1);
    assert_int_equal(waitpid(f->keeper, &status, 0), f->keeper);
    assert_int_equal(close(fd), 0);
    f->keeper = 0;
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}
