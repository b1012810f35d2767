/* SPDX-License-Identifier: MIT */
/* See bar.h. */
#include "cli/bar.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/progress.h"

#define DRAW_EVERY_MS   100
#define IDLE_EVERY_MS   1000 /* so that the remaining time goes on */
#define COLUMNS_DEFAULT 80
#define CLEAR           "\r\033[K"

struct bar {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t over;
    struct progress progress;
    int64_t drawn_ms;
    bool has_news, is_over;
    bool shares_terminal; /* stdout is one, too */
    bool has_colour;
};

/* Whether a bar stands on the terminal, for a signal handler: it has no other way to know. */
static volatile sig_atomic_t is_standing;

void bar_interrupt(void)
{
    if (!is_standing)
        return;
    ssize_t bytes = write(STDERR_FILENO, "\n", 1);
    (void)bytes;
}

static size_t columns_now(void)
{
    struct winsize size = { 0 };
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return COLUMNS_DEFAULT;
    return size.ws_col;
}

/* Leaves the last column free: a cursor beyond it is in the next line on some terminals. */
static void draw(struct bar *bar, int64_t now_ms)
{
    char text[PROGRESS_TEXT_MAX];
    is_standing = 1;
    (void)fprintf(stderr, CLEAR "%s",
                  progress_line(&bar->progress, now_ms, columns_now() - 1, bar->has_colour, text));
    bar->drawn_ms = now_ms;
    bar->has_news = false;
}

static void clear(struct bar *bar)
{
    if (!is_standing || !bar->shares_terminal)
        return;
    (void)fputs(CLEAR, stderr);
    is_standing = 0;
    bar->has_news = true;
}

static struct timespec deadline_of(int64_t ms)
{
    int64_t at_ns = berth_clock_monotonic_ns() + ms * 1000000;
    return (struct timespec){ .tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000 };
}

static void *draw_until_over(void *arg)
{
    struct bar *bar = arg;
    (void)pthread_mutex_lock(&bar->lock);
    while (!bar->is_over) {
        struct timespec deadline = deadline_of(DRAW_EVERY_MS);
        (void)pthread_cond_timedwait(&bar->over, &bar->lock, &deadline);
        int64_t now_ms = berth_clock_monotonic_ms();
        int64_t every_ms = bar->has_news ? DRAW_EVERY_MS : IDLE_EVERY_MS;
        if (!bar->is_over && now_ms - bar->drawn_ms >= every_ms)
            draw(bar, now_ms);
    }
    (void)pthread_mutex_unlock(&bar->lock);
    return NULL;
}

/* An interrupt is for the thread that draws, so that nothing is drawn behind what it writes. */
static void mask_interrupt(int how)
{
    sigset_t interrupt;
    (void)sigemptyset(&interrupt);
    (void)sigaddset(&interrupt, SIGINT);
    (void)pthread_sigmask(how, &interrupt, NULL);
}

static bool is_wanted(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

static bool wants_colour(void)
{
    const char *no_color = getenv("NO_COLOR");
    return !no_color || no_color[0] == '\0';
}

static void bar_free(struct bar *bar)
{
    (void)pthread_cond_destroy(&bar->over);
    (void)pthread_mutex_destroy(&bar->lock);
    free(bar);
}

struct bar *bar_start(size_t total)
{
    struct bar *bar = is_wanted() ? calloc(1, sizeof *bar) : NULL;
    if (!bar)
        return NULL;
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&bar->over, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)pthread_mutex_init(&bar->lock, NULL);
    progress_init(&bar->progress, total);
    bar->shares_terminal = isatty(STDOUT_FILENO);
    bar->has_colour = wants_colour();
    bar->has_news = true;
    if (pthread_create(&bar->thread, NULL, draw_until_over, bar) != 0) {
        bar_free(bar);
        return NULL;
    }
    mask_interrupt(SIG_BLOCK);
    return bar;
}

void bar_end(struct bar *bar)
{
    if (!bar)
        return;
    (void)pthread_mutex_lock(&bar->lock);
    bar->is_over = true;
    (void)pthread_cond_signal(&bar->over);
    (void)pthread_mutex_unlock(&bar->lock);
    (void)pthread_join(bar->thread, NULL);
    mask_interrupt(SIG_UNBLOCK);
    draw(bar, berth_clock_monotonic_ms());
    (void)fputc('\n', stderr);
    is_standing = 0;
    bar_free(bar);
}

void bar_lift(struct bar *bar)
{
    if (!bar)
        return;
    (void)pthread_mutex_lock(&bar->lock);
    clear(bar);
}

void bar_lower(struct bar *bar, bool is_failed)
{
    if (!bar)
        return;
    progress_count(&bar->progress, is_failed);
    bar->has_news = true;
    (void)pthread_mutex_unlock(&bar->lock);
}
