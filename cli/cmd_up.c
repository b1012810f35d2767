/* SPDX-License-Identifier: MIT */
/* berth up: a broker and workers as children, in the foreground, for one machine.
 *
 * 1. Nothing is left behind: each child is killed by the kernel if we die (PR_SET_PDEATHSIG).
 * 2. A clean end goes in order: first the workers drain, then the broker, which they need for it.
 * 3. If one of them ends by itself, so do the others, and we fail.
 *
 * The children have process groups of their own, so that a Ctrl-C reaches only us.
 */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"

#define WORKERS        2
#define WORKERS_MAX    64
#define READY_MS_MAX   30000 /* from the broker's start to its first answer */
#define READY_SLICE_MS 200
#define ALONE_MS_MAX   15000 /* what workers may take to end when the broker is gone */

struct up_opts {
    const char *data;
    uint64_t workers;
};

static int check_data(const char *what, const char *text, struct berth_error *err)
{
    if (text[0] != '\0')
        return 0;
    return berth_fail(err, BERTH_EVALUE, "%s: '' is not allowed; the path of a directory is wanted",
                      what);
}

static const struct berth_setting settings[] = {
    { .name = "data",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct up_opts, data),
      .value = "DIR",
      .check = check_data,
      .help = "where the broker keeps its database",
      .env = "BERTH_DATA" },
    { .name = "workers",
      .type = BERTH_SETTING_U64,
      .offset = offsetof(struct up_opts, workers),
      .max = WORKERS_MAX,
      .value = "N",
      .help = "how many workers, which all run commands (default 2)" },
};

struct child {
    const char *name;
    pid_t pid; /* 0: not running */
};

struct up {
    struct cli *cli;
    const char *url;
    char bin[PATH_MAX];
    struct child broker, workers[WORKERS_MAX];
    size_t workers_count;
    int signal_fd;
    sigset_t old_mask;
    unsigned stops;  /* how often we were told to end */
    bool is_ending;  /* told, or because one of them has ended */
    bool has_failed; /* one of them ended by itself */
    int64_t kill_ms; /* when the rest is killed; INT64_MAX: never */
};

static int set_up(struct up *up, const struct up_opts *opts);
static int start_broker(struct up *up, const char *data);
static int await_broker(struct up *up);
static int start_workers(struct up *up);
static void look_after(struct up *up, int64_t timeout_ms);
static bool is_alive(const struct up *up);

static int run(void *context)
{
    struct cli *cli = context;
    struct up_opts opts = { .workers = WORKERS };
    static struct up up;
    up = (struct up){ .cli = cli, .signal_fd = -1, .kill_ms = INT64_MAX };
    int rc = cli_begin(cli, &opts);
    if (rc == 0)
        rc = set_up(&up, &opts);
    if (rc == 0)
        rc = start_broker(&up, opts.data);
    if (rc == 0)
        rc = await_broker(&up);
    if (rc == 0 && !up.is_ending)
        rc = start_workers(&up);
    if (rc == 0 && !up.is_ending) {
        (void)printf("%s\n", up.url);
        (void)fflush(stdout);
        (void)fprintf(stderr,
                      "berth: the broker is up, with %zu worker%s; Ctrl-C ends them in order\n"
                      "berth: try:  berth submit --wait -- date\n",
                      up.workers_count, up.workers_count == 1 ? "" : "s");
    }
    int code = rc < 0 ? cli_fail(cli, rc) : CLI_OK;
    up.is_ending = up.is_ending || rc < 0;
    while (is_alive(&up))
        look_after(&up, INT64_MAX);
    berth_close(up.signal_fd);
    return up.has_failed && code == CLI_OK ? CLI_FAILED : code;
}

/* Where our own program lies, there are the others. */
static int find_bin(struct up *up)
{
    char self[PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof self - 1);
    if (bytes < 0)
        return berth_fail(&up->cli->err, -errno, "find our own program");
    self[bytes] = '\0';
    (void)snprintf(up->bin, sizeof up->bin, "%s", dirname(self));
    return 0;
}

static int set_up(struct up *up, const struct up_opts *opts)
{
    up->workers_count = opts->workers;
    up->url = up->cli->opts.broker ? up->cli->opts.broker : BERTH_URL_DEFAULT;
    int rc = find_bin(up);
    if (rc < 0)
        return rc;
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, &up->old_mask);
    up->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (up->signal_fd < 0)
        return berth_fail(&up->cli->err, -errno, "open a signalfd");
    return cli_connect(up->cli, 0);
}

/* In the child. */
static void become(const struct up *up, pid_t parent, const char *path, const char *const *argv)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(CLI_FAILED);
    (void)sigprocmask(SIG_SETMASK, &up->old_mask, NULL);
    (void)signal(SIGINT, SIG_DFL);
    union {
        const char *const *words;
        char *const *args;
    } both = { .words = argv }; /* execv(3) does not write to them */
    (void)execv(path, both.args);
    perror(path);
    _exit(127);
}

static int start(struct up *up, struct child *child, const char *const *argv)
{
    char path[PATH_MAX + 32];
    (void)snprintf(path, sizeof path, "%s/%s", up->bin, argv[0]);
    if (access(path, X_OK) != 0)
        return berth_fail(&up->cli->err, -errno, "start '%s'", path);
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return berth_fail(&up->cli->err, -errno, "start '%s'", path);
    if (pid == 0)
        become(up, parent, path, argv);
    *child = (struct child){ .name = argv[0], .pid = pid };
    return 0;
}

static int start_broker(struct up *up, const char *data)
{
    const char *argv[] = { "berthd", "--log-level",          "warn", "--listen",
                           up->url,  data ? "--data" : NULL, data,   NULL };
    return start(up, &up->broker, argv);
}

static int start_workers(struct up *up)
{
    const char *const argv[] = { "berth-worker", "--log-level",  "warn", "--broker",
                                 up->url,        "--allow-exec", NULL };
    for (size_t i = 0; i < up->workers_count; i++) {
        int rc = start(up, &up->workers[i], argv);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Until it answers, ends, or is told to. */
static int await_broker(struct up *up)
{
    int64_t until_ms = berth_clock_monotonic_ms() + READY_MS_MAX;
    while (!up->is_ending) {
        struct berth_broker_status *status = NULL;
        int rc = berth_broker_status(up->cli->client, &status, READY_SLICE_MS, &up->cli->err);
        berth_broker_status_free(status);
        look_after(up, 0);
        if (rc == 0)
            return 0;
        if (rc != -ETIMEDOUT || berth_clock_monotonic_ms() >= until_ms)
            return rc;
    }
    return 0;
}

static bool has_workers(const struct up *up)
{
    for (size_t i = 0; i < up->workers_count; i++)
        if (up->workers[i].pid > 0)
            return true;
    return false;
}

static bool is_alive(const struct up *up)
{
    return up->broker.pid > 0 || has_workers(up);
}

static void signal_workers(const struct up *up, int signal)
{
    for (size_t i = 0; i < up->workers_count; i++)
        if (up->workers[i].pid > 0)
            (void)kill(up->workers[i].pid, signal);
}

static void signal_broker(const struct up *up, int signal)
{
    if (up->broker.pid > 0)
        (void)kill(up->broker.pid, signal);
}

/* The first time the workers drain, the second time they hand back, the third time all are killed.
 * The broker's turn comes when they have ended. */
static void stop(struct up *up)
{
    up->is_ending = true;
    up->stops++;
    if (up->stops > 2) {
        signal_workers(up, SIGKILL);
        signal_broker(up, SIGKILL);
        return;
    }
    signal_workers(up, SIGTERM);
    if (!has_workers(up))
        signal_broker(up, SIGTERM);
}

static void say_end(const struct child *child, int status)
{
    if (WIFSIGNALED(status))
        (void)fprintf(stderr, "berth: %s was ended by signal %d (%s)\n", child->name,
                      WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        (void)fprintf(stderr, "berth: %s ended with exit code %d\n", child->name,
                      WEXITSTATUS(status));
}

static struct child *child_find(struct up *up, pid_t pid)
{
    if (up->broker.pid == pid)
        return &up->broker;
    for (size_t i = 0; i < up->workers_count; i++)
        if (up->workers[i].pid == pid)
            return &up->workers[i];
    return NULL;
}

static void on_child_end(struct up *up, struct child *child, int status)
{
    bool is_clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    child->pid = 0;
    if (!up->is_ending || !is_clean) {
        say_end(child, status);
        up->has_failed = true;
    }
    if (child == &up->broker && has_workers(up))
        up->kill_ms = berth_clock_monotonic_ms() + ALONE_MS_MAX;
    if (!up->is_ending)
        stop(up);
    else if (child != &up->broker && !has_workers(up))
        signal_broker(up, SIGTERM);
}

static void reap(struct up *up)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct child *child = child_find(up, pid);
        if (child)
            on_child_end(up, child, status);
    }
}

/* One turn: signals, and children that have ended. */
static void look_after(struct up *up, int64_t timeout_ms)
{
    if (up->is_ending && up->stops == 0)
        stop(up);
    int64_t left_ms =
        up->kill_ms == INT64_MAX ? INT64_MAX : up->kill_ms - berth_clock_monotonic_ms();
    if (left_ms <= 0)
        signal_workers(up, SIGKILL);
    if (left_ms > 0 && left_ms < timeout_ms)
        timeout_ms = left_ms;
    struct pollfd item = { .fd = up->signal_fd, .events = POLLIN };
    (void)poll(&item, 1, timeout_ms == INT64_MAX ? -1 : (int)timeout_ms);

    struct signalfd_siginfo info;
    while (read(up->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo != SIGCHLD)
            stop(up);
    reap(up);
}

const struct berth_command cmd_up = {
    .name = "up",
    .summary = "run a broker and workers in the foreground, for one machine",
    .examples = "  berth up\n"
                "  berth up --workers 4 --data /var/tmp/berth\n"
                "  berth up --broker ipc:///tmp/berth.sock\n",
    .settings = settings,
    .settings_count = sizeof settings / sizeof settings[0],
    .run = run,
};
