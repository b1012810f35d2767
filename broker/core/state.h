/* SPDX-License-Identifier: MIT */
/* The memory of the core: what its files share and nobody else sees. */
#pragma once

#include "base/hash.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"
#include "broker/core/recur/schedule.h"
#include "core.h"
#include "index.h"
#include "job.h"
#include "slab.h"

/* All workers, and all dispatchers, fit into one answer (proto/limits.h). */
#define SESSIONS_MAX    4096u
#define DISPATCHERS_MAX 4096u
#define HANDLERS_MAX    65536u
#define KEYS_MAX        100000000u /* idempotency keys and requests that are recognised */
#define WATCHES_MAX     1000000u   /* (job, waiting request) pairs */
#define SCHEDULES_MAX   4096u
#define QUERIES_MAX     4096u /* questions to the store that are under way */

/* What a branch of a dispatcher has had of its slots. Its branches are its children, each with all
 * below it, and its own jobs: share.h. */
struct share {
    uint64_t used; /* slot time for its weight, up to `at_ms` */
    int64_t at_ms;
};

/* Jobs of a dispatcher that name the same group, or none. */
struct group {
    struct berth_map_node by_name;
    uint64_t number; /* 0: those without a group */
    struct dispatcher *dispatcher;
    struct berth_slice name;
    struct berth_list lanes;
    uint64_t running;           /* places in use */
    bool is_full;               /* its levels are in no rank */
    struct berth_list resuming; /* suspended attempts that wait for its places: suspend.h */
    /* While a deadlock is looked for: nobody ever gives back what is held here. */
    bool is_blocked;
    struct berth_list_node look_node;
};

struct dispatcher {
    struct berth_map_node by_name, by_id;
    struct berth_dispatcher_record record; /* as stored */
    struct berth_dispatcher_record wanted; /* the newest that was asked for: lowers at once */
    uint32_t changes;                      /* records of it that are not stored yet */
    bool is_ending;            /* removed, which is not stored yet: it has no name any more */
    bool is_held;              /* what it counts is counted for certain: hold.h */
    struct dispatcher *parent; /* as stored; NULL: independent */
    uint64_t running;          /* slots in use: by its own jobs and by all below it */
    uint64_t own_running;      /* by its own jobs alone */
    uint64_t count[JOB_STATE_COUNT];
    struct share branch;  /* of its parent's slots */
    struct share own;     /* of its own slots: what its own jobs have had */
    uint64_t share_clock; /* what the branch had had that started last: newcomers begin there */
    int64_t usual_ms;     /* for how long an attempt has a slot here, about */
    uint64_t tokens;      /* of its rate, in parts (limit.c), up to `tokens_at_ms` */
    int64_t tokens_at_ms;
    struct berth_map groups; /* those with a name */
    struct group ungrouped;
    struct berth_list gates, open_gates;
    /* Where it stands: park.h. */
    struct berth_list_node run_node;   /* in core->runnable or core->stalled */
    struct dispatcher *waits_at;       /* what misses something: itself or an ancestor */
    struct berth_list_node wait_node;  /* in waits_at->waiting */
    struct berth_list waiting;         /* those that wait at this one */
    struct berth_list_node hand_node;  /* in core->handing: something came back */
    struct berth_heap_node token_node; /* somebody waits for its next token */
    int64_t token_ms;
    struct berth_list resuming; /* suspended attempts that wait for its slots: suspend.h */
    struct berth_list_node resuming_node; /* in core->resuming */
    struct berth_list attempts;           /* of its own jobs */
    /* While a deadlock is looked for: nobody ever gives back what is held here. */
    bool is_blocked;
    struct berth_list_node look_node;
    uint32_t looks; /* ever, whether it may start something: tests bound them */
};

/* The ready jobs of one dispatcher for one handler, those that are children apart from the others:
 * what a handler lacks is missing for all of them. It is open when there is something to start, or
 * it waits at its handler. */
struct gate {
    uint32_t index;
    struct dispatcher *dispatcher;
    struct handler *handler;
    struct desk *desk; /* of the handler: at which it waits */
    struct berth_list lanes;
    struct berth_list ranks, open_ranks; /* highest priority first */
    struct berth_list_node dispatcher_node;
    struct berth_list_node open_node; /* in dispatcher->open_gates */
    struct berth_list_node wait_node; /* in desk->waiting: nobody has room for it */
    uint64_t wait_number;             /* when it came to wait: smaller is earlier. 0: it does not */
};

/* Jobs of one priority behind a gate: its groups take turns. */
struct rank {
    int32_t priority;
    struct gate *gate;
    struct berth_list turns; /* levels with something to start, the next one first */
    struct berth_list_node gate_node, open_node;
};

/* Jobs of one dispatcher, group and handler. */
struct lane {
    uint32_t index;
    struct gate *gate;
    struct group *group;
    struct berth_list levels; /* one for each priority */
    uint64_t job_count;       /* live jobs that name this lane */
    uint64_t ready_count;
    struct berth_list_node gate_node, group_node;
};

/* Ready jobs of one lane and priority, in order. */
struct level {
    struct lane *lane;
    struct rank *rank;
    uint32_t head, tail;
    uint32_t first_new; /* of those that arrived since the broker's start */
    struct berth_list_node lane_node;
    struct berth_list_node
        turn_node; /* in rank->turns: there are some, and the group has a place */
};

/* Who has a desk of its own at each handler: a worker may have room for children alone (offer.h).
 */
enum desk_kind { DESK_ROOTS, DESK_CHILDREN, DESK_COUNT };

struct desk {
    struct berth_list free;           /* workers with room, least recently used first */
    struct berth_list waiting;        /* gates that found nobody, in order */
    struct berth_list_node gain_node; /* in core->gained: both may be non-empty */
};

struct handler {
    struct berth_map_node by_name;
    uint64_t number;
    uint32_t gate_count;
    uint32_t offer_count; /* connected workers that have it */
    struct desk desks[DESK_COUNT];
    bool is_alone;                     /* of processes for suspects: suspect.h */
    struct berth_list_node alone_node; /* in core->alone_handlers */
    char name[BERTH_NAME_BYTES + 1];
};

/* Where a session offers a handler, and the handler. */
struct seat {
    struct session *session;
    struct berth_list_node free_node; /* in the desk's free list */
};

struct offer {
    struct handler *handler;
    struct seat seats[DESK_COUNT];
};

enum attempt_state {
    ATTEMPT_FETCHING = 1, /* granted; its body is being read back, the worker has not heard of it */
    ATTEMPT_STARTING,     /* the same, and its start is being stored */
    ATTEMPT_RUNNING,      /* granted, or adopted from a join */
    ATTEMPT_HELD,         /* it was running when its session was lost, and may still run */
    ATTEMPT_SETTLING,     /* reported: its slot is free, its place at the worker is not */
    ATTEMPT_DOOMED, /* alive without being the job's attempt: it holds its slot until it has ended
                     */
};

struct shown;

/* What a suspended attempt that asks to go on waits for: suspend.h. */
enum resume_wait { RESUME_NOTHING = 0, RESUME_SLOTS, RESUME_GROUP, RESUME_PLACE };

/* Whose doing it is that the process died in which an attempt ran: suspect.h. */
enum blame { BLAME_NONE = 0, BLAME_SUSPECT, BLAME_CULPRIT };

struct attempt {
    struct berth_map_node by_id;
    enum attempt_state state;
    uint32_t job; /* slab index; 0: DOOMED */
    uint64_t job_id;
    uint32_t number;
    struct session *session;
    struct dispatcher *dispatcher; /* whose slot it holds; NULL: of none that exists */
    struct group *group;           /* whose place it holds; NULL: of none that is known */
    int64_t started_us;
    int64_t slot_ms;     /* since when it holds them */
    struct shown *shown; /* what it shows; NULL: nothing yet */
    int64_t told_ms;     /* when it was first told to end; 0: it was not */
    bool is_forced;      /* and will be told that it must */
    bool is_late;        /* its job's deadline has passed: it is told to end */
    bool is_suspended;   /* nothing of it runs: suspend.h */
    bool has_given;      /* and what it held is given back */
    /* While a deadlock is looked for: it never goes on. */
    bool is_stuck;
    struct berth_list_node look_node;
    enum resume_wait resume_wait;
    uint32_t suspensions;               /* so far, and this one */
    struct berth_list_node resume_node; /* where it waits, or in the session's outbox */
    struct group *resume_group;         /* RESUME_SLOTS RESUME_GROUP: of which it needs a place */
    enum blame blame;                   /* once its process has died */
    struct berth_list_node session_node;
    struct berth_list_node dispatcher_node;
    struct berth_list_node grant_node, cancel_node; /* in the session's outbox */
};

enum session_state {
    SESSION_STORING = 1, /* its row is not synced: nobody has heard of it */
    SESSION_RECOVERING,  /* of an earlier epoch, not heard of yet */
    SESSION_LIVE,
    SESSION_LOST,    /* its lease is over, its attempts may still run: hold.h */
    SESSION_CLOSING, /* over; its row is being removed */
};

/* Which start of which keeper, and which of its children. */
struct child_key {
    uint8_t nonce[16];
    uint32_t child;
};

struct session {
    struct berth_map_node by_id, by_child;
    struct child_key child_key;         /* the memory of by_child's key */
    struct berth_heap_node expiry_node; /* LIVE and RECOVERING */
    enum session_state state;
    struct berth_session_record record;
    uint64_t peer; /* 0: unreachable */
    char software[BERTH_NAME_BYTES];
    uint32_t join;
    uint64_t sent, taken; /* numbers of the last orders and reports of this join */
    int64_t expires_ms, heard_ms;
    struct berth_list_node heard_node; /* in core->heard: it has a peer */
    uint32_t capacity, cores;
    uint32_t suspended_max; /* so many that wait do not count against its capacity: offer.h */
    bool is_draining;
    bool has_room[DESK_COUNT]; /* its seats are in the free lists of these desks */
    /* Processes for suspects: suspect.h. */
    bool is_alone, can_start_alone;
    uint64_t worker;        /* is_alone: the session of its worker; 0: not known */
    uint32_t alone_count;   /* sessions of such processes that belong to this one */
    int64_t alone_asked_ms; /* when it was asked for one, and it has not come since; 0: never */
    struct offer *offers;
    size_t offer_count;
    struct berth_list attempts;
    uint32_t attempt_count;
    uint32_t suspended_count;   /* of them; nothing of these runs */
    struct berth_list resuming; /* suspended attempts that wait for a place here: suspend.h */
    struct berth_list_node resuming_node; /* in core->crowded */
    struct berth_list out_grants, out_cancels;
    struct berth_order_ack *out_acks;
    size_t out_ack_count, out_ack_room;
    struct berth_list out_resumes, out_children, out_child_ends;
    bool shall_join_again; /* something that it asked for could not be answered */
    uint32_t out_start_alone;
    struct berth_list_node out_node; /* in core->outboxes */
};

/* What a client waits for until a batch is stored. */
enum pending_type {
    PENDING_SUBMITTED = 1,
    PENDING_CANCELLED,
    PENDING_DISPATCHER,
    PENDING_GONE_OK,
    PENDING_DECLARED_GONE,
    PENDING_CHILDREN,
    PENDING_SCHEDULES,
    PENDING_CHANGED,
    PENDING_PURGED,
    PENDING_REMOVED,
    PENDING_REFUSED,
};

struct pending {
    struct berth_list_node node;
    enum pending_type type;
    uint64_t peer, request;
    struct berth_arena memory; /* of what it points to */
    size_t count;
    struct berth_submitted_item *submitted;
    bool *is_arriving; /* SUBMITTED: this item stands or falls with a batch */
    struct berth_job_state *cancelled;
    struct berth_changed_item *changed;
    struct berth_do_purged purged;
    uint32_t dispatcher;
    struct berth_do_fenced gone;
    struct berth_worker_view *declared_gone;
    /* CHILDREN, and `submitted` */
    uint64_t attempt;
    uint32_t ordinal;
    uint32_t join;                 /* in which it was asked for */
    struct berth_do_error refusal; /* CHILDREN, REFUSED */
    uint32_t schedule;             /* SCHEDULES: this one; 0: all behind `schedule_after` */
    uint32_t schedule_after;       /* UINT32_MAX: none of them */
};

struct key_entry { /* keys.h */
    struct berth_hash128 key;
    uint64_t body; /* the lower half of its hash */
    union {
        uint64_t body_high;
        struct {
            uint32_t older, younger;
        } siblings; /* of a child, and of what stands for their parent: a ring */
    };
    uint64_t job;
    uint32_t until_s;    /* seconds since 1970 */
    uint32_t next, prev; /* in the queue of its kind, oldest first */
    uint8_t kind;
};

_Static_assert(sizeof(struct key_entry) == 56, "each job has one, for ten minutes at least");

struct key_queue {
    uint32_t head, tail;
};

struct berth_core {
    struct berth_core_opts opts;
    int64_t started_ms;
    int64_t now_ms, wall_us; /* of the step under way */
    struct berth_rng rng;

    struct slab jobs;
    struct index jobs_by_id;
    uint64_t next_job_id;
    uint64_t first_new_job; /* smaller ids arrived before the broker was there */
    uint32_t *due;          /* heap of SCHEDULED and RETRYING jobs by due_us, then id */
    uint32_t due_count, due_room;
    uint64_t body_bytes;
    bool has_woken;          /* what fell due while there was no broker is ready */
    bool has_queued_cancels; /* jobs with JOB_CANCEL_STORED wait in a queue for the end of recovery
                              */

    struct slab rares; /* rare.h */
    struct index rares_by_job;
    struct berth_heap clocks; /* rare records, by the next of their clocks that is over */
    struct berth_heap_node **clock_nodes;
    bool has_unknown_loss;        /* since the last turn: job_clock.h */
    struct berth_map uniques;     /* ties, by dispatcher and unique key */
    struct berth_list felled;     /* ties whose job has failed while others wait for it */
    uint64_t deferred_bytes;      /* of submits that wait for the store's word */
    struct berth_map scopes;      /* by the parent's id: scope.h */
    struct berth_map children;    /* by the child's */
    struct berth_list scope_work; /* scopes whose children are to be told to end */
    bool is_walking_scopes;
    struct berth_list resuming; /* dispatchers that suspended attempts wait for */
    struct berth_list crowded;  /* sessions that they wait for */

    struct slab gates, lanes;
    struct index gates_by_key, lanes_by_key;
    struct berth_map dispatchers_by_name, dispatchers_by_id;
    uint32_t next_dispatcher_id;
    struct berth_map handlers;
    uint64_t group_counter, handler_counter, wait_counter;
    struct berth_list runnable;   /* dispatchers to look at in this turn */
    struct berth_list stalled;    /* there was no memory for a grant: in the next one */
    struct berth_list recovering; /* until nobody is missing any more */
    struct berth_list handing;    /* dispatchers where somebody waits and something came back */
    struct berth_list gained;     /* desks with a new room */
    struct berth_heap tokens;     /* dispatchers whose next token somebody waits for, by its time */
    struct berth_heap_node **token_nodes;

    struct berth_map recurring_by_name, recurring_by_id;
    struct schedules schedules;
    struct berth_heap_node **schedule_nodes; /* NULL: there never was a schedule */
    uint32_t next_schedule_id;
    uint64_t recurring_bytes;   /* of what schedules bring */
    uint32_t recurring_changes; /* records of schedules that are not stored yet */

    struct slab keys;
    struct index keys_by_hash;
    struct key_queue key_queues[3];
    struct key_queue keys_over; /* of parents that have completed: their children's go in turns */
    uint32_t child_key_count;

    struct berth_map sessions, sessions_by_child;
    struct berth_map tombstones; /* of dead children */
    struct berth_list tombstone_order;
    struct berth_heap expiries;
    struct berth_heap_node **expiry_nodes;
    struct berth_list heard; /* LIVE sessions with a peer, by when they were last heard of */
    uint64_t session_counter, attempt_counter;
    uint64_t unresolved;              /* sessions RECOVERING; while there are any: recovery.h */
    uint64_t cores;                   /* of LIVE sessions */
    struct berth_list alone_handlers; /* suspect.h */
    bool is_alone_looked_at;          /* nothing has changed since workers were asked */
    int64_t alone_again_ms;           /* until then; INT64_MAX: no suspect waits for a process */
    struct berth_map attempts;
    struct berth_list outboxes;
    struct berth_list showing; /* what attempts show; those that were silent longest first */
    uint64_t shown_bytes;      /* of memory for it */
    uint64_t stale_reports;

    struct berth_map watches;     /* by job id */
    struct berth_map waits;       /* by (peer, request) */
    struct berth_list wait_order; /* by when they were last heard of, oldest first */
    uint64_t watch_count;
    struct berth_list news; /* waits with ends to tell of in this step */

    struct berth_map discards; /* jobs whose discard is not stored yet, by id */

    struct berth_map queries;
    uint64_t query_counter;

    struct berth_batch *open;  /* gathers; NULL: nothing yet */
    struct berth_batch *again; /* found the store full: what of it is not an arrival goes first */
    struct berth_batch *spare;
    uint64_t batch_seq;     /* of the last batch closed */
    bool is_away;           /* a batch is with the store */
    bool is_store_full;     /* it said so, and has taken nothing since */
    int64_t store_again_ms; /* then: not before */
    struct berth_list pending_open, pending_away;

    struct berth_effects effects;
    size_t effects_room;
    struct berth_arena arena; /* of the effects */
};

static inline struct gate *gate_at(const struct berth_core *core, uint32_t index)
{
    return *(struct gate **)slab_at(&core->gates, index);
}

static inline struct lane *lane_at(const struct berth_core *core, uint32_t index)
{
    return *(struct lane **)slab_at(&core->lanes, index);
}

static inline struct lane *job_lane(const struct berth_core *core, const struct job *job)
{
    return lane_at(core, job->lane);
}

/* Since when it is ready, in seconds of `now_ms`, as far as its turn and its clocks go: not before
 * the broker was there. */
static inline int64_t job_ready_s(const struct berth_core *core, const struct job *job)
{
    int64_t started_s = core->started_ms / 1000;
    return job->ready_s > started_s ? job->ready_s : started_s;
}

/* The end of a second that is over, or now, by the wall clock. */
static inline int64_t second_to_wall_us(const struct berth_core *core, int64_t second)
{
    int64_t end_ms = (second + 1) * 1000;
    int64_t ago_ms = core->now_ms > end_ms ? core->now_ms - end_ms : 0;
    return core->wall_us - ago_ms * 1000;
}

/* The same by the wall clock; not earlier than it was, and a second later at the most. */
static inline int64_t job_ready_us(const struct berth_core *core, const struct job *job)
{
    return second_to_wall_us(core, job_ready_s(core, job));
}

/* As it is shown: also from before the broker was there. */
static inline int64_t job_shown_ready_us(const struct berth_core *core, const struct job *job)
{
    return second_to_wall_us(core, job->ready_s);
}

static inline struct dispatcher *job_dispatcher(const struct berth_core *core,
                                                const struct job *job)
{
    return job_lane(core, job)->gate->dispatcher;
}

static inline bool slice_is_equal(struct berth_slice a, struct berth_slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

static inline struct berth_slice slice_of(const char *text)
{
    return (struct berth_slice){ .data = text, .bytes = strlen(text) };
}
