/* SPDX-License-Identifier: MIT */
#include "quit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tree.h"

#define THREAD_STACK_BYTES ((size_t)(WEFT_ASAN || WEFT_TSAN ? 1024 : 128) << 10)

static struct {
    pthread_mutex_t lock;
    bool is_open;
    struct sigaction before;
    pthread_t thread;
    /* Made once and kept, for a handler may still be about to write. */
    atomic_int wake_fd;
    int stop_fd;
} quit = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake_fd = -1, .stop_fd = -1 };

static void event_set(int fd)
{
    uint64_t one = 1;
    (void)syscall(SYS_write, fd, &one, sizeof one); /* never parks; full: it will wake anyway */
}

static void event_clear(int fd)
{
    uint64_t value;
    (void)syscall(SYS_read, fd, &value, sizeof value);
}

static void on_quit(int signal)
{
    (void)signal;
    int saved = errno;
    event_set(quit.wake_fd);
    errno = saved;
}

static void *quit_run(void *arg)
{
    (void)arg;
    (void)pthread_setname_np(pthread_self(), "weft-quit");
    struct pollfd fds[] = {
        { .fd = quit.wake_fd, .events = POLLIN },
        { .fd = quit.stop_fd, .events = POLLIN },
    };
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents != 0)
            return NULL;
        event_clear(fds[0].fd);
        (void)weft_dump_until(STDERR_FILENO, quit.stop_fd);
    }
}

static bool events_make(void)
{
    if (quit.wake_fd < 0)
        quit.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (quit.stop_fd < 0)
        quit.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (quit.wake_fd < 0 || quit.stop_fd < 0)
        return false;
    event_clear(quit.wake_fd);
    event_clear(quit.stop_fd);
    return true;
}

static bool thread_make(void)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return false;
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&quit.thread, &attr, quit_run, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return rc == 0;
}

static void thread_end(void)
{
    event_set(quit.stop_fd);
    (void)pthread_join(quit.thread, NULL);
}

/* Who blocks it here waits for it elsewhere: by sigwait(3) or a signalfd. */
static bool is_free(void)
{
    sigset_t blocked;
    struct sigaction now;
    if (pthread_sigmask(SIG_BLOCK, NULL, &blocked) != 0 || sigismember(&blocked, SIGQUIT) != 0)
        return false;
    return sigaction(SIGQUIT, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) == 0 &&
           now.sa_handler == SIG_DFL;
}

/* Under the lock. */
static bool open_quit(void)
{
    if (!is_free() || !events_make() || !thread_make())
        return false;
    struct sigaction ours = { .sa_handler = on_quit, .sa_flags = SA_RESTART | SA_ONSTACK };
    if (sigaction(SIGQUIT, &ours, &quit.before) == 0)
        return true;
    thread_end();
    return false;
}

void weft_quit_open(void)
{
    (void)pthread_mutex_lock(&quit.lock);
    if (!quit.is_open)
        quit.is_open = open_quit();
    (void)pthread_mutex_unlock(&quit.lock);
}

bool weft_quit_close(void)
{
    (void)pthread_mutex_lock(&quit.lock);
    bool was_open = quit.is_open;
    struct sigaction now;
    if (was_open) {
        if (sigaction(SIGQUIT, NULL, &now) == 0 && now.sa_handler == on_quit)
            (void)sigaction(SIGQUIT, &quit.before, NULL);
        thread_end();
    }
    quit.is_open = false;
    (void)pthread_mutex_unlock(&quit.lock);
    return was_open;
}
