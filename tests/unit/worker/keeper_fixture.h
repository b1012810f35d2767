/* SPDX-License-Identifier: MIT
 *
 * The keeper from outside: a real one in a process of its own, with runtime children that behave as
 * the test wishes, and a fake broker.
 *
 * A program of this is all three: the tests; with --keeper, a keeper; and, started by that one with
 * --child, a runtime child (keeper_lives.h). Whether anything of that or its commands is alive is
 * asked of the FIFO DIR/alive, which all of them hold open for writing.
 */
#pragma once

#include "support/berthtest.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "keeper_lives.h"
#include "support/tempdir.h"
#include "translate_broker.h"
#include "worker/keeper.h"
#include "worker/net/gone.h"
#include "worker/net/translate_gone.h"

#define DEADLINE_MS 30000
#define TRIES_MAX   10

struct fixture {
    struct broker *broker;
    char *dir;
    int child_fd; /* DIR/child, for reading */
    int alive_fd;
    int go_fd; /* DIR/go, for writing: lets a child go on that waits for it */
    pid_t keeper;
    bool is_without_cgroup, is_alone;
    int64_t stop_ms; /* of the keeper to be started */
};

/* What main() calls first. True: it was started as a keeper or as a child of one, has been that,
 * and `ret_code` is its exit status. */
bool keeper_part(int argc, char **argv, int *ret_code);

/* Of a group of tests: whatever is left of a keeper's family comes to hang under this process. */
int keeper_group_setup(void **state);
int keeper_group_teardown(void **state);
int keeper_setup(void **state);
int keeper_setup_without_cgroup(void **state);
int keeper_teardown(void **state);

/* Starts a keeper of children that live this life. */
void start_keeper(struct fixture *f, const char *life);
/* Its exit status. */
int await_keeper_exit(struct fixture *f);

/* A line that a child or its command wrote. */
void await_line(const struct fixture *f, char line[static LIFE_LINE_BYTES_MAX]);
void assert_line(const struct fixture *f, const char *want);

/* What a child says first. */
struct born {
    unsigned number, epoch_seen;
    pid_t pid;
};
struct born read_born(const char *line);
struct born await_born(const struct fixture *f);

bool is_anyone_alive(const struct fixture *f);
void await_all_dead(const struct fixture *f);
