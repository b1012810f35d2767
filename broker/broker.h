/* SPDX-License-Identifier: MIT */
/* The broker's main loop: sockets and completions of the store become events of the core, its
 * effects are carried out. One thread.
 *
 * 1. What lies in the sockets is taken before timers are looked at, so a stall of our own takes
 * nobody's lease who has spoken.
 * 2. Effects of a step are carried out before the next step.
 * 3. One batch is with the store at a time; while it is being synced the next one gathers.
 * 4. When the store cannot say what it wrote, or somebody newer has taken it over, the loop ends:
 * the file decides, and the next start goes by it.
 */
#pragma once

#include "broker/core/core.h"
#include "broker/net/net.h"
#include "broker/net/translate.h"
#include "broker/store/store.h"
#include "seed.h"

#define BROKER_RECEIVE_MAX   1024 /* messages taken in one turn */
#define BROKER_REAP_MAX      128  /* completions taken in one turn */
#define BROKER_READS_MAX     4096 /* questions to the store that wait for their turn */
#define BROKER_DRAIN_MS      100  /* at most so long for the sockets when a timer is due */
#define BROKER_STALL_MS      500  /* a turn that took so long counts as a stall */
#define BROKER_STALL_WAIT_MS 100  /* after it: no timers, until the sockets have been read again */

struct broker;

/* All borrowed. */
struct broker_opts {
    struct berth_core *core;
    struct berth_store *store;
    struct berth_net *net;
    struct berth_translate *translate;
    int signal_fd; /* SIGTERM and SIGINT stop, SIGHUP reloads; non-blocking */
    /* Called on SIGHUP, between two turns. */
    void (*reload)(void *arg);
    void *reload_arg;
};

enum broker_end {
    BROKER_STOPPED,     /* by a signal; everything that was taken is stored */
    BROKER_STORE_LOST,  /* start again: the store is in doubt, or somebody else's */
    BROKER_LOOP_FAILED, /* the operating system refuses to wait for sockets */
};

struct broker *broker_new(const struct broker_opts *opts, struct berth_error *err);
void broker_free(struct broker *broker);

/* Makes those dispatchers that are not there, and logs how the others differ, as soon as the core
 * has said what there is: in broker_settle or broker_run. Borrows the seeds until the next call or
 * broker_free. */
void broker_seed(struct broker *broker, struct berth_seeds *seeds);

/* Reads the files of all time zones that schedules name again, in broker_settle or broker_run. */
void broker_renew_zones(struct broker *broker);

/* Blocks until all that the core wants stored is stored, or the store is full. false: a signal, or
 * a store that is lost, ended that; broker_run then ends at once and says so. */
bool broker_settle(struct broker *broker);

/* Until a signal or the store ends it. Logs why. */
enum broker_end broker_run(struct broker *broker);
