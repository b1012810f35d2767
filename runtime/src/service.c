/* SPDX-License-Identifier: MIT */
#include "service.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>

#include <weft/base.h>

#include "monitor.h"
#include "switch.h"

#define THREAD_STACK_BYTES ((size_t)(WEFT_ASAN || WEFT_TSAN ? 1024 : 256) << 10)

static pthread_t thread;
static struct weft_poller poller;
static struct weft_clock service_clock;
static atomic_bool is_stopping;

static void *service_run(void *arg);

static int thread_start(void)
{
    pthread_attr_t attr;
    int rc = -pthread_attr_init(&attr);
    if (rc < 0)
        return rc;
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = -pthread_create(&thread, &attr, service_run, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return rc;
}

int weft_service_open(void)
{
    is_stopping = false;
    weft_monitor_is_asleep = false;
    int rc = weft_clock_init(&service_clock, NULL);
    if (rc < 0)
        return rc;
    rc = weft_poller_init(&poller);
    if (rc == 0) {
        rc = thread_start();
        if (rc < 0)
            weft_poller_fini(&poller);
    }
    if (rc < 0)
        weft_clock_fini(&service_clock);
    return rc;
}

void weft_service_close(void)
{
    is_stopping = true;
    weft_service_kick();
    (void)pthread_join(thread, NULL);
    weft_poller_fini(&poller);
    weft_clock_fini(&service_clock);
}

struct weft_clock *weft_service_clock(void)
{
    return &service_clock;
}

struct weft_poller *weft_service_poller(void)
{
    return &poller;
}

void weft_service_kick(void)
{
    weft_poller_kick(&poller);
}

static void *service_run(void *arg)
{
    (void)arg;
    (void)pthread_setname_np(pthread_self(), "weft-service");
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    while (!is_stopping) {
        int64_t now_ns = weft_now_ns();
        if (service_clock.next_ns <= now_ns)
            weft_clock_run(&service_clock, now_ns);
        int64_t look_ns = weft_monitor_look(now_ns), next_ns = service_clock.next_ns;
        weft_poller_wait(&poller, look_ns < next_ns ? look_ns : next_ns);
    }
    return NULL;
}
