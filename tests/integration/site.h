/* SPDX-License-Identifier: MIT
 *
 * A broker of the test's own: a data directory, a socket in it, and the program, which can be
 * killed and started again.
 */
#pragma once

#include "support/berthtest.h"

#include "support/process.h"

#define SITE_TIMEOUT_MS 60000
#define SITE_ARGS_MAX   16

struct site {
    char *dir;              /* of everything */
    char *data;             /* the broker's data directory, not there yet */
    char *url;              /* ipc:// in `dir` */
    const char *const *env; /* of the broker, beside ours; NULL: none */
    struct process broker;
};

/* cmocka's setup and teardown: `*state` is a site without a broker. */
int site_setup(void **state);
int site_teardown(void **state);

/* Starts the broker and awaits that it listens. `args` (NULL: none) end with NULL and stand behind
 * --data and --listen. */
void site_start(struct site *site, const char *const *args);

/* The same, but it is expected to end by itself: returns its exit code. site_err says why. */
int site_start_fails(struct site *site, const char *const *args);

/* kill -9, or SIGTERM; awaits its end and returns the exit code. */
int site_kill(struct site *site);
int site_stop(struct site *site);

/* What the broker that was started last has written to stderr. */
const char *site_err(const struct site *site);

/* Plays the service manager: programs that are started from now on tell it how they are. The
 * descriptor is the caller's. The environment is cleared by the teardown. */
int site_manager(struct site *site);
/* Whether it is told this, within SITE_TIMEOUT_MS; what else it is told before that is dropped. */
bool site_await_notice(int fd, const char *wanted);

void assert_in_text(const char *text, const char *part);
