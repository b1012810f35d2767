/* SPDX-License-Identifier: MIT */
/* The simulator: clients, one broker and workers in one process, under virtual time, from one seed.
 *
 * What is real: the three pure cores and the memory store. What is simulated: the network (delays,
 * cut connections with the loss of what was under way; order is kept within a connection and not
 * between them; late and doubled messages), the disk (slow, full, crashing at any batch), the
 * processes (killed at any moment, frozen, stalled), clocks that drift and jump, handlers, and a
 * keeper that is late. The same seed and options give the same run. Nothing here reads a clock or
 * sleeps. docs/SIMULATION.md has the whole story.
 */
#pragma once

#include <stdio.h>

#include "base/arena.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"
#include "broker/core/core.h"
#include "broker/store/store.h"
#include "broker/store/store_mem.h"
#include "client/core/request.h"
#include "worker/core/agent.h"

#define SIM_DISPATCHERS  14
#define SIM_DRAWN        13 /* those that jobs are drawn for; behind them: */
#define SIM_DRIP         13 /* one of less than a start a minute: rates.c */
#define SIM_GROUPS       4  /* jobs without one are the first of them */
#define SIM_MOVER        7  /* the dispatcher that is moved between its parent and that one's */
#define SIM_TURNCOAT     11 /* the dispatcher whose on_lost changes */
#define SIM_FLEETING     12 /* the dispatcher that is removed and made again */
#define SIM_NAME_BYTES   16
#define SIM_HANDLERS     3
#define SIM_WORKERS_MAX  6
#define SIM_ALONE_MAX    12 /* processes for suspects, of all workers */
#define SIM_ALONE_EACH   4  /* of one */
#define SIM_CLIENTS_MAX  4
#define TRACE_LINES      64 /* kept, to be shown when a run fails */
#define TRACE_LINE_BYTES 160
#define MS               INT64_C(1000)
#define SECOND           INT64_C(1000000)

#define SIM_BACKOFF_MS_MAX 5000 /* of the dispatchers */
#define SIM_GRACE_MS       500

struct sim;

/* How a dispatcher is made. */
struct sim_rule {
    const char *name;
    uint32_t limit; /* 0: left as it is built in */
    int parent;     /* index; -1: none */
    uint32_t weight, group_limit;
    uint32_t rate_count, rate_ms, burst; /* starts in so long */
    uint32_t max_queued;
    bool is_held;      /* on_lost = hold */
    bool is_unlimited; /* instead of a limit */
    int64_t queue_timeout_ms, deadline_ms;
    int64_t queue_timeout_ms_least; /* that one ever changes it to */
    bool is_given_back;             /* hold = running */
    bool is_without_jitter;
    int64_t timeout_ms; /* of an attempt */
    int64_t retention_ms;
    uint64_t retention_count;
};

typedef void (*sim_fn)(struct sim *sim, void *arg);

struct sim_opts {
    uint64_t seed;
    int64_t ticks;    /* events, at most; beyond: stuck */
    int64_t chaos_us; /* for so long things go wrong */
    unsigned faults;  /* a set of enum fault */
    unsigned jobs;    /* submitted by each client */
    unsigned clients, workers;
    bool is_a_day;        /* of recurring jobs, with little beside them */
    bool has_no_promises; /* without checker 9 */
    bool is_verbose;      /* prints every event */
};

enum fault {
    FAULT_BROKER = 1,     /* the broker is killed and comes back */
    FAULT_CHILD = 2,      /* a worker's runtime child dies */
    FAULT_HOST = 4,       /* keeper and child die together; a new worker comes later */
    FAULT_CUT = 8,        /* a connection breaks */
    FAULT_PARTITION = 16, /* and stays broken */
    FAULT_FREEZE = 32,    /* the child stops; its keeper does not */
    FAULT_FULL = 64,      /* the disk is full for a while */
    FAULT_DRAIN = 128,    /* a worker drains and is started anew */
    FAULT_LIMITS = 256,   /* limits and pauses change */
    FAULT_LATE = 512, /* messages come late, come twice, survive the connection they were sent on */
    FAULT_STALL = 1024, /* the broker stands still for a while */
    FAULT_CLOCK = 2048, /* the wall clock jumps */
    FAULT_STOP = 4096,  /* a whole host stands still, and goes on later */
    FAULT_ALL = 8191
};

/* ---- messages: an event of the receiver, with all that it points to ---- */

enum note_to { TO_BROKER = 1, TO_CHILD, TO_KEEPER, TO_CLIENT };

struct client_answer {
    uint64_t request;
    struct berth_effect effect; /* what the broker said; its pointers lie in the note */
};

struct note {
    enum note_to to;
    unsigned copies; /* under way beside this one */
    struct berth_arena arena;
    int64_t sent_us;
    union {
        struct berth_event broker;
        struct agent_event child;
        struct berth_do_fenced gone_ok;
        struct client_answer client;
    };
};

struct note *note_new(enum note_to to);
void note_free(struct note *note); /* when no copy of it is under way any more */
void *note_copy(struct note *note, const void *data, size_t bytes);
struct berth_slice note_slice(struct note *note, struct berth_slice bytes);

/* ---- the network ---- */

/* One end's connection to the broker. It is renewed with a fresh peer handle each time. */
struct link {
    struct sim *sim;
    void *owner;
    enum note_to to; /* what its owner takes */
    bool is_wanted;  /* the owner lives */
    bool is_up;
    bool is_partitioned;
    uint64_t peer;
    unsigned generation; /* of the connection; what was under way in an older one is lost */
    unsigned life;       /* of its owner's socket: a new child has a new one */
    int64_t last_up_us, last_down_us; /* when the last message in each direction arrives */
    int64_t late_us;                  /* so late is what comes from the broker */
    int64_t stopped_until_us;         /* its owner stands still: nothing is taken */
    struct berth_list kept;           /* messages that wait for the next connection */
    struct berth_list_node node;
};

void link_open(struct sim *sim, struct link *link, void *owner, enum note_to to);
void link_close(struct link *link); /* the owner is gone */
void link_cut(struct link *link);   /* breaks; comes back by itself unless partitioned */
void link_send_up(struct link *link, struct note *note); /* to the broker; takes the note */
struct link *link_of_peer(struct sim *sim, uint64_t peer);
/* From the broker to a peer; takes the note. False: there is no such connection. */
bool link_send_down(struct sim *sim, uint64_t peer, struct note *note);
void link_broker_died(struct sim *sim);
void link_fini(struct link *link);

/* ---- the actors ---- */

struct broker {
    bool is_up;
    struct berth_mem_disk *disk;
    struct berth_store *store;
    struct berth_core *core;
    struct berth_batch *away; /* with the store */
    struct note *inbox[4096];
    size_t inbox_count;
    uint64_t peers_gone[256];
    size_t peers_gone_count;
    bool is_turn_scheduled;
    int64_t timer_us;
    unsigned life;
    int64_t died_us;
    int64_t full_until_us, stalled_until_us, slow_until_us;
    bool asked[128]; /* of the store, oldest first: whether it is a batch */
    size_t asked_count;
    struct berth_list questions; /* that it cannot take yet */
    uint64_t restarts;
    uint32_t ids[SIM_DISPATCHERS];
};

void broker_start(struct sim *sim);
void broker_kill(struct sim *sim);
uint64_t broker_live_jobs(struct sim *sim); /* as it believes */
void broker_note_live(struct sim *sim);     /* the first few, with what they hang on */
void broker_deliver(struct sim *sim, struct note *note);
void broker_peer_gone(struct sim *sim, uint64_t peer);

/* An attempt as it truly is. */
struct run {
    struct berth_map_node by_attempt;
    struct worker *worker;
    uint64_t attempt, job;
    unsigned dispatcher; /* index */
    unsigned group;      /* index; 0: none */
    unsigned life;       /* of the child */
    bool is_cancelled;
    bool shall_end; /* its broker said so */
    bool ignores_cancel;
    bool is_ghost; /* in a host that stood still: the broker owes it nothing */
    int64_t started_us, ends_us;
    uint32_t number;
    uint64_t written, shown; /* what it has written to stdout, and shown of it in: */
    uint32_t shown_epoch, shown_join;
    struct agent_end end;
    bool is_named; /* when it kills its process, the signal names it */
    /* timeout.c: 0: none; something told it to end; its timeout did, first of all. */
    int64_t timeout_ms;
    bool is_told, is_timed_out;
    /* parent.h */
    bool is_parent, is_supervisor, waits_at_once;
    bool is_suspended, has_asked; /* has_asked: to go on */
    bool is_body_over;            /* but for its children */
    bool has_given;               /* what it counts for in the limits */
    unsigned children, submitted; /* that it is to have; of them, submitted */
    unsigned unanswered, awaited; /* submits; children that live */
};

struct certificate {
    uint64_t session;
    uint32_t child;
    enum berth_gone_cause cause;
    uint64_t attempts[64], jobs[64];
    uint32_t numbers[64];
    size_t count;
    uint64_t culprit;
};

struct worker {
    struct sim *sim;
    unsigned index;
    bool is_up; /* the keeper lives */
    bool has_child;
    bool is_frozen;
    bool is_draining;
    unsigned life; /* of the child; events of older lives are nobody's */
    unsigned keeper_life;
    unsigned stops; /* how often it stood still */
    uint8_t nonce[16];
    char name[SIM_NAME_BYTES]; /* of this life of the keeper */
    uint32_t child;
    uint32_t capacity, suspended_max, cores;
    uint64_t asker, newest; /* places.c: who waited there first, and the attempts of that time */
    int drift_ppm;
    struct agent *agent;
    struct link link, keeper_link;
    uint64_t session, lineage;
    uint32_t epoch, epoch_seen;
    int64_t lease_end_ms;
    int64_t started_us, welcomed_us; /* its child; as it heard */
    struct berth_map runs;
    struct certificate gone[16];
    size_t gone_count;
    struct worker
        *host; /* of a process for a suspect, with a keeper of its own; NULL: it is none */
};

void worker_start(struct worker *worker);
void worker_lose(struct worker *worker); /* keeper and child */
/* Its processes for suspects (suspects.c): one more; each of them; one that has a child, or itself.
 */
void alone_start(struct worker *host);
void alone_each(struct worker *host, void (*fn)(struct worker *alone));
struct worker *worker_or_alone(struct worker *worker);
void worker_kill_child(struct worker *worker, enum berth_gone_cause cause);
void worker_kill_host(struct worker *worker);
void worker_freeze(struct worker *worker);
void worker_drain(struct worker *worker);
void worker_stop(struct worker *worker, int64_t until_us); /* keeper and child */
bool worker_is_stopped(const struct worker *worker);
void worker_deliver(struct worker *worker, struct note *note);
void worker_keeper_deliver(struct worker *worker, struct note *note);
void worker_connected(struct worker *worker);
void worker_fini(struct worker *worker);

struct client {
    struct sim *sim;
    unsigned index;
    uint8_t id[16];
    struct request_table *table;
    struct link link;
    unsigned submitted;
    uint64_t last_job;         /* that was acknowledged; 0: none */
    uint64_t first_job;        /* the first that was */
    struct berth_map requests; /* by number: struct ask */
    int64_t timer_us;
    bool is_admin_busy;
    unsigned calm_steps;
};

void client_start(struct client *client);
void client_deliver(struct client *client, struct note *note);
void client_connected(struct client *client);
bool client_is_done(const struct client *client);
void client_calm(struct client *client); /* puts limits and pauses so that everything can end */
void client_fini(struct client *client);

/* ---- what must hold ---- */

/* What the checkers know of one job. */
struct check_job {
    struct berth_map_node by_id;
    bool is_acknowledged, is_cancelled, is_completed_somewhere;
    bool has_failed_forever;
    unsigned failures;
    bool is_stored, is_cancel_stored; /* on the disk */
    enum berth_state stored_end;      /* on the disk; 0: it lives */
    uint64_t completed_by;            /* worker index + 1, while that child lives */
    unsigned completed_life, completed_stops, completed_in; /* in this dispatcher */
    enum berth_state told;        /* the end that a client was told of; 0: none */
    unsigned lives;               /* how often it came to life again: dead.c */
    unsigned ends;                /* a bit for each state in which it ever ended, on the disk */
    bool may_be_gone;             /* somebody asked to discard it, or it is in SIM_FLEETING */
    bool is_discarded;            /* on the disk, or its dispatcher is removed there */
    uint32_t dispatcher;          /* its id */
    uint64_t alive;               /* the attempt that runs; 0: none */
    bool is_queued;               /* on the disk, and never given to a worker: queue.c */
    bool ended_by_clock;          /* it is dead, and not for its failures */
    struct check_life *life;      /* life.c; NULL: its arrival is not on the disk */
    bool is_suspect;              /* on the disk */
    bool is_blamed;               /* in truth: what it ran in died of it, or of nobody known */
    unsigned own_deaths;          /* in truth */
    uint32_t died;                /* as the disk has it */
    struct check_child *child;    /* scope.c; NULL: it is none */
    struct check_child *children; /* of it, the newest first */
    unsigned forced_in_life, forced_lives; /* of the broker; that it had: force.c */
    /* retention.c: its request key's window; as the disk was read in the end. */
    int64_t repeated_until_us, finished_us;
    bool is_seen, ended_in_order;
    /* tries.c: in this life; its own, 0: the dispatcher's. */
    uint32_t stored_failures;
    int64_t backoff_ms, backoff_ms_max;
};

struct check_key {
    struct berth_map_node by_key;
    uint64_t job;
};

struct check_attempt {
    struct berth_map_node by_id;
    uint64_t job; /* as it was granted */
    int64_t granted_ms;
    int64_t taken_us; /* when it took its slots again, to go on */
    bool is_started, is_start_stored, is_token_stored, is_end_stored;
    /* tries.c: how it ended, as it said itself; 0: it has not. */
    enum agent_outcome outcome;
    int64_t ended_us, asked_ms;
};

struct check_session {
    struct berth_map_node by_id;
    bool is_stored;
};

/* Where a dispatcher stood, as the broker has it. */
struct check_place {
    const struct dispatcher *dispatcher, *waits_at;
    uint32_t looks;
    uint64_t ready, due; /* jobs that are, and jobs that wait for a time */
};

/* So far the wall clock is off from then on. */
struct check_skew {
    int64_t from_us, skew_us;
};

/* The broker could not be reached. */
struct outage {
    const struct link *link; /* NULL: by anybody */
    int64_t from_us, to_us;
};

struct checkers {
    struct berth_map jobs; /* by id */
    struct berth_map keys; /* of users: each has one job */
    struct berth_map attempts, sessions;
    struct {
        int64_t from_us;
        uint32_t limit;
    } limits[SIM_DISPATCHERS][512];
    size_t limit_count[SIM_DISPATCHERS];
    unsigned alive[SIM_DISPATCHERS];    /* of its own jobs */
    int64_t paused_us[SIM_DISPATCHERS]; /* since then for certain; INT64_MAX: perhaps not */
    int64_t moved_in_us; /* since then SIM_MOVER stands where it was made; INT64_MAX: perhaps not */
    unsigned alive_in_group[SIM_DISPATCHERS][SIM_GROUPS];
    struct check_rates *rates;        /* rates.c */
    uint64_t queued[SIM_DISPATCHERS]; /* queue.c */
    uint64_t starts, acknowledged, cancelled;
    struct check_life *lives;
    int64_t wall_us_most;        /* the wall clock at its highest */
    struct outage outages[1024]; /* the newest */
    size_t outage_count;
    struct check_place places[64]; /* looks.c: before this turn */
    size_t place_count;
    uint64_t attempts_before;
    struct check_skew skews[256];
    size_t skew_count;
    struct berth_arena arena;
};

struct check_job *check_job_of(struct sim *sim, uint64_t id); /* made when first asked for */
struct check_attempt *check_attempt_of(struct sim *sim, uint64_t id);
void check_init(struct sim *sim);
void check_fini(struct sim *sim);
/* limits.c: from now on this much may be in force; an attempt begins, or is over; orders leave;
 * jobs are shown; the end. */
void check_limit(struct sim *sim, unsigned dispatcher, uint32_t limit);
/* It is paused for certain; or perhaps not any more. */
void check_pause(struct sim *sim, unsigned dispatcher, bool is_paused);
void check_move(struct sim *sim, bool is_home); /* SIM_MOVER is known to be where it was made */
/* It is suspended where its slots come back; it goes on. */
void check_limits_given(struct sim *sim, struct run *run);
void check_limits_resume(struct sim *sim, struct run *run);
/* places.c: it has begun, or goes on; its broker says what is to end; the broker has had a turn. */
void check_place(struct sim *sim, const struct run *run);
void check_told_runs(struct worker *worker, const struct agent_event *event);
void check_places_turn(struct sim *sim);
void check_limits_start(struct sim *sim, const struct run *run, int64_t granted_us);
void check_limits_end(struct sim *sim, const struct run *run);
void check_granted(struct sim *sim, const struct berth_do_orders *orders);
/* rates.c: an attempt begins; the wall clock jumps; a grant leaves; the end; whether jobs of
 * SIM_DRIP are submitted in this run. */
void check_rate_start(struct sim *sim, const struct run *run);
void check_rate_jump(struct sim *sim, int64_t jump_us);
void check_token_stored(struct sim *sim, const struct berth_order_grant *grant);
void check_rates(struct sim *sim);
bool rates_have_drip(const struct sim *sim);
void check_shown(struct sim *sim, const struct berth_do_jobs *jobs);
/* hold.c: whether this dispatcher holds what is lost; a worker stands still from now on; a grant
 * leaves; the host of a worker is dead, and somebody will say so. */
bool check_is_held(int dispatcher);
void check_stopped(struct sim *sim, struct worker *worker);
void check_start_stored(struct sim *sim, const struct berth_order_grant *grant);
void operator_mourn(struct sim *sim, const struct worker *worker);
/* life.c: what the job of this tag brings; a record is on the disk, and then all of its batch; an
 * order leaves; an attempt begins; a submit is answered with a job that was there; after a turn. */
void sim_bring(uint64_t tag, bool has_key, struct berth_submit_item *item);
void check_life_stored(struct sim *sim, const struct berth_record *record);
void check_life_batch(struct sim *sim, const struct berth_batch *batch);
void check_life_granted(struct sim *sim, const struct berth_order_grant *grant,
                        bool is_decided_now);
void check_life_told(struct sim *sim, const struct berth_order_cancel *cancel, uint64_t job);
void check_life_start(struct sim *sim, uint64_t job);
void check_life_existing(struct sim *sim, uint64_t job, unsigned dispatcher,
                         struct berth_slice unique);
/* looks.c */
void check_looks_before(struct sim *sim);
void check_looks_after(struct sim *sim);
/* retention.c: whether its dispatcher forgets jobs before this run is over; whether the disk has
 * it; a record is on the disk; the disk was read. */
bool check_may_be_forgotten(struct sim *sim, const struct check_job *job);
bool check_is_kept(const struct sim *sim, uint64_t id);
void check_retention_stored(struct sim *sim, const struct berth_record *record);
void check_retention(struct sim *sim);
/* force.c: a cancel comes; it was accepted, and its answer leaves. */
void check_force_asked(struct sim *sim, const struct berth_ev_ids *ids);
void check_force_answered(struct sim *sim, const struct berth_do_cancelled *cancelled);
/* timeout.c: what a job of this tag has of its own; an attempt begins; it is told to end; how it
 * ended, which counts for its job. */
int64_t sim_timeout_ms_of(uint64_t tag);
void check_timeout_start(struct run *run, const struct agent_grant *grant, uint64_t tag);
void check_timeout_told(struct run *run, enum agent_cancel_reason reason);
enum agent_outcome check_outcome_of(const struct run *run);
/* tries.c: the broker looks at its clock; an attempt says how it ended; a record is on the disk. */
void check_wall(struct sim *sim);
void check_tries_finish(struct sim *sim, const struct run *run);
void check_tries_stored(struct sim *sim, const struct berth_record *record);
/* scope.c: a record is on the disk, and then all of its batch; an attempt begins; orders leave. */
void check_scope_stored(struct sim *sim, const struct berth_record *record);
void check_scope_batch(struct sim *sim, const struct berth_batch *batch);
void check_scope_start(struct sim *sim, const struct run *run);
void check_scope_orders(struct sim *sim, const struct berth_do_orders *orders);
uint64_t check_parent_of(const struct check_child *child);
void check_keys(struct sim *sim); /* keys.c: after a turn, and at the end */
/* What it may start at: it waits for a time, or waited for one. */
bool check_waits_for_time(const struct check_life *life);
/* queue.c: it is given to a worker; a record is on the disk, and then all of its batch; a submit is
 * refused. */
void check_queue_granted(struct sim *sim, uint64_t job);
void check_queue_stored(struct sim *sim, const struct berth_record *record);
void check_queue_batch(struct sim *sim);
void check_queue_refused(struct sim *sim, const struct berth_do_error *refusal);
/* seen.c: the turn begins, and is over; the run is over. */
void seen_before(struct sim *sim);
void seen_after(struct sim *sim);
void seen_fini(struct sim *sim);
void check_life_turn(struct sim *sim);
void check_life_step(struct sim *sim); /* the broker looks at its clock */
/* How the dispatcher with this id was made. */
const struct sim_rule *check_rule_of(struct sim *sim, uint32_t dispatcher);
/* A submit was answered. `key`: of the user's, with its dispatcher; 0: none. `tag` is in the body:
 * what was submitted. */
void check_acknowledged(struct sim *sim, uint64_t job, uint64_t tag, uint64_t key);
void check_start(struct sim *sim, const struct run *run, int64_t granted_us);
void check_finish(struct sim *sim, const struct run *run); /* it ended by itself */
void check_killed(struct sim *sim, const struct run *run); /* its process died */
/* suspects.c: an attempt begins; a child is dead, of the one that was alone, too; a retry or an end
 * is on the disk. */
void check_alone_asked(struct sim *sim, uint64_t peer, const struct berth_do_orders *orders);
enum sim_poison { POISON_NONE, POISON_NAMED, POISON_QUIET };
enum sim_poison sim_poison_of(uint64_t tag);
void check_suspect_start(struct sim *sim, const struct run *run);
void check_deaths(struct worker *worker, struct certificate *gone);
void check_suspect_stored(struct sim *sim, const struct berth_record *record);
void check_suspect_revived(struct check_job *job);
void check_told_end(struct sim *sim, uint64_t job, enum berth_state state);
void check_told_cancel(struct sim *sim, uint64_t job, enum berth_state state, int code);
void check_stored(struct sim *sim, const struct berth_batch *batch); /* it is on the disk */
void check_explained(struct sim *sim, const struct berth_do_explained *explained); /* explain.c */
/* dead.c */
void check_ended(struct sim *sim, const struct berth_end_record *end);
void check_revived(struct sim *sim, uint64_t job);
void check_discarded(struct sim *sim, uint64_t job);
void check_arrived(struct sim *sim, const struct berth_job_record *record);
void check_made(struct sim *sim, const struct berth_dispatcher_record *record);
void check_removed(struct sim *sim, uint32_t dispatcher);
void check_changed(struct sim *sim, const struct berth_do_changed *changed);
/* Whether the end that is told is one that it had; of a job that came to life again no more can be
 * said, since messages are late. */
void check_told_some_end(struct sim *sim, uint64_t job, enum berth_state state);
/* recur.c: the operator of recurring jobs, and what is stored of them; from now on all is well; all
 * schedules are dealt with, and removed. */
void recur_start(struct sim *sim);
void recur_fini(struct sim *sim);
void check_recur_stored(struct sim *sim, const struct berth_batch *batch);
void recur_calm(struct sim *sim);
bool recur_is_over(const struct sim *sim);
void check_effect(struct sim *sim, const struct berth_effect *effect); /* it is being sent */
void check_outage(struct sim *sim, const struct link *link, int64_t from_us, int64_t to_us);
/* For how long the broker could not be reached since then, and until it was joined. */
int64_t check_hindrance_us(const struct sim *sim, const struct link *link, int64_t since_us);
void check_child_lost_lease(struct sim *sim, const struct worker *worker);
/* What an attempt writes: the byte at a place of its stdout. */
static inline uint8_t check_written(uint64_t job, uint32_t number, uint64_t place)
{
    return (uint8_t)(job * 7 + number * 31 + place * 13);
}
void check_told_output(struct sim *sim, const struct berth_do_job_output *output);
bool check_all_ended(struct sim *sim);
void check_disk(struct sim *sim);

_Noreturn void sim_fail(struct sim *sim, const char *format, ...) BERTH_PRINTF(2, 3);

/* ---- time ---- */

struct sim {
    struct sim_opts opts;
    struct berth_rng rng;
    int64_t now_us;
    struct berth_heap events;
    struct berth_heap_node **event_nodes;
    uint64_t event_counter;
    uint64_t peer_counter;
    struct berth_list links;
    struct broker broker;
    struct worker workers[SIM_WORKERS_MAX + SIM_ALONE_MAX]; /* behind the workers: of suspects */
    struct client clients[SIM_CLIENTS_MAX];
    struct checkers checkers;
    struct recur_state *recur;
    struct seen *seen;
    int64_t wall_skew_us;
    char trace[TRACE_LINES][TRACE_LINE_BYTES];
    uint64_t trace_count;
    uint64_t steps;
    bool is_calm; /* no more faults: everything must end now */
};

void sim_at(struct sim *sim, int64_t at_us, sim_fn fn, void *arg);
int64_t sim_random_us(struct sim *sim, int64_t low_us, int64_t high_us);
bool sim_chance(struct sim *sim, unsigned percent);
void sim_note(struct sim *sim, const char *format, ...) BERTH_PRINTF(2, 3);
static inline int64_t sim_ms(const struct sim *sim)
{
    return sim->now_us / 1000;
}
static inline int64_t sim_wall_us(const struct sim *sim)
{
    return sim->now_us + INT64_C(1700000000000000) + sim->wall_skew_us;
}
/* How much rarer things are in a run that takes a day. */
static inline int64_t sim_patience(const struct sim *sim)
{
    return sim->opts.is_a_day ? 240 : 1;
}
extern const struct sim_rule sim_rules[SIM_DISPATCHERS];
extern const char *const sim_groups[SIM_GROUPS];
/* What a job belongs to follows from what is in its body, so that whoever sees it knows. */
unsigned sim_group_of(uint64_t tag);
extern const char *const sim_handlers[SIM_HANDLERS];
unsigned sim_dispatcher_index(struct sim *sim, struct berth_slice name);
/* Over all runs of the process. */
struct sim_stats {
    uint64_t runs, steps, acknowledged, starts, cancelled, broker_starts, children;
    int64_t virtual_us;
    uint64_t revived, discarded, removed;
    uint64_t instants;
    uint64_t offspring; /* jobs that were submitted as children */
};
extern struct sim_stats sim_total;

/* 0: all that must hold held. */
int sim_run(const struct sim_opts *opts);
