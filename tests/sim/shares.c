/* SPDX-License-Identifier: MIT */
/* Rule 53: the slots of a dispatcher go to its branches by weight, and nobody who waits is passed
 * over by one that has had more.
 *
 * A branch of T is a child with all below it, or T's own jobs (weight 1). What it has had is slot
 * time, the sum over its attempts, for its weight; what it claims is that, and for each attempt
 * that runs as long as an attempt has a slot of T on the average. Of those that wait at one place
 * the one that claims least is next. One that comes to wait has had, from then on, at least what
 * that one had had which started last (the mark).
 *
 * Nothing of this is read from the broker but who waits where, how many run, and the average. What
 * two branches have had is known as a bound of the difference: `lead`, the most that one may be
 * before the other. It is known from when the one came to wait, or was chosen before the other, and
 * from then on time is added as it passes. If a branch is given a slot before one that waits,
 * though it claims more even so, that one was passed over.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/core/dispatcher/dispatcher.h"
#include "seen.h"

#define TREE     7
#define UNKNOWN  1e18 /* a bound that bounds nothing */
#define SLACK_MS 50.0 /* of what the broker rounds */

/* Those in trees, by what they are to each other now. */
static const unsigned tree[TREE] = { 4, 5, 6, 7, 8, 9, 10 };

struct branch {
    double lead[TREE]; /* the most that it may have had more than the other */
    double ahead;      /* ... than the mark */
    double was_ahead;  /* ... than it was at any time of this turn, and not below 0 */
    double behind;     /* the most that the mark may be before it; while it waits */
    double most_claim; /* of this turn: what it might have let pass before itself */
    uint64_t running;
};

/* All that is read of a dispatcher; while it stays, only time passes. */
struct look {
    const struct dispatcher *of, *parent, *waits_at;
    uint64_t running, own_running, mark;
    int64_t usual_ms;
    uint32_t weight;
};

struct shares {
    int64_t at_ms;
    /* After the last turn that changed one, while there were these. */
    struct look looks[TREE];
    uint32_t ids[TREE], next_id;
    size_t dispatcher_count;
    bool is_same;                        /* before this turn nothing had changed since */
    const struct dispatcher *of[TREE];   /* NULL: not made yet */
    int parent[TREE];                    /* -1: none */
    int place[TREE], place_before[TREE]; /* where they wait; -1: nowhere */
    uint64_t mark[TREE];                 /* as it was: a start that is not seen moves it */
    struct branch branches[TREE][TREE];  /* of each, its children and itself */
};

/* ---- the tree ---- */

static int place_of(const struct shares *shares, const struct dispatcher *dispatcher)
{
    for (int i = 0; dispatcher && i < TREE; i++)
        if (shares->of[i] == dispatcher)
            return i;
    return -1;
}

static bool is_branch(const struct shares *shares, int top, int branch)
{
    return branch == top || shares->parent[branch] == top;
}

/* The branch of `top` in which it stands; -1: in none. */
static int branch_of(const struct shares *shares, int top, int at)
{
    if (at == top)
        return top;
    while (at >= 0 && shares->parent[at] != top)
        at = shares->parent[at];
    return at;
}

static bool is_at_or_above(const struct shares *shares, int place, int at)
{
    while (at >= 0 && at != place)
        at = shares->parent[at];
    return at >= 0;
}

static bool waits(const struct shares *shares, const int *places, int top, int branch, int place)
{
    for (int i = 0; i < TREE; i++)
        if (places[i] == place && branch_of(shares, top, i) == branch)
            return true;
    return false;
}

/* Somebody of it waits there all the time. */
static bool waits_on(const struct shares *shares, int top, int branch, int place)
{
    for (int i = 0; i < TREE; i++)
        if (shares->place[i] == place && shares->place_before[i] == place &&
            branch_of(shares, top, i) == branch)
            return true;
    return false;
}

static double weight_of(const struct shares *shares, int top, int branch)
{
    uint32_t weight = branch == top ? 1 : shares->of[branch]->record.weight;
    return weight ? weight : 1;
}

static uint64_t running_of(const struct shares *shares, int top, int branch)
{
    return branch == top ? shares->of[top]->own_running : shares->of[branch]->running;
}

/* ---- bounds ---- */

static void lower(double *bound, double to)
{
    if (*bound > to)
        *bound = to;
}

static void lift(double *bound, double to)
{
    if (*bound < to)
        *bound = to;
}

static void forget(struct shares *shares)
{
    for (int top = 0; top < TREE; top++)
        for (int b = 0; b < TREE; b++) {
            struct branch *branch = &shares->branches[top][b];
            branch->behind = UNKNOWN;
            for (int other = 0; other < TREE; other++)
                branch->lead[other] = UNKNOWN;
        }
}

static void pass_time(struct shares *shares, int64_t now_ms)
{
    double passed_ms = (double)(now_ms - shares->at_ms);
    shares->at_ms = now_ms;
    for (int top = 0; top < TREE; top++) {
        double had[TREE] = { 0 };
        for (int b = 0; b < TREE; b++)
            if (shares->of[b] && is_branch(shares, top, b))
                had[b] = passed_ms * (double)shares->branches[top][b].running /
                         weight_of(shares, top, b);
        for (int b = 0; b < TREE; b++) {
            struct branch *branch = &shares->branches[top][b];
            branch->ahead += had[b];
            branch->behind -= had[b];
            for (int other = 0; other < TREE; other++)
                branch->lead[other] += had[b] - had[other];
        }
    }
}

/* ---- the turn ---- */

/* True: the tree is another one. */
static bool look_at_tree(struct sim *sim, struct shares *shares)
{
    bool is_other = false;
    for (int i = 0; i < TREE; i++)
        shares->of[i] = dispatcher_find_id(sim->broker.core, sim->broker.ids[tree[i]]);
    for (int i = 0; i < TREE; i++) {
        int parent = shares->of[i] ? place_of(shares, shares->of[i]->parent) : -1;
        is_other |= parent != shares->parent[i];
        shares->parent[i] = parent;
    }
    return is_other;
}

static void look_at_places(const struct shares *shares, int *places)
{
    for (int i = 0; i < TREE; i++)
        places[i] = shares->of[i] ? place_of(shares, shares->of[i]->waits_at) : -1;
}

void shares_reset(struct seen *seen)
{
    if (!seen->shares)
        seen->shares = malloc(sizeof *seen->shares);
    BERTH_ASSERT(seen->shares != NULL);
    *seen->shares = (struct shares){ .looks[0].weight = UINT32_MAX }; /* not seen yet */
    forget(seen->shares);
}

/* What started without being chosen (it was adopted, or goes on) may have moved the mark. */
static void look_at_marks(struct shares *shares)
{
    for (int top = 0; top < TREE; top++) {
        if (!shares->of[top] || shares->of[top]->share_clock == shares->mark[top])
            continue;
        for (int b = 0; b < TREE; b++)
            shares->branches[top][b].behind = UNKNOWN;
    }
}

/* Whether some may have been made or removed since, so that they are to be found again. */
static bool are_others(struct sim *sim, struct shares *shares)
{
    const struct berth_core *core = sim->broker.core;
    size_t count = berth_map_count(&core->dispatchers_by_id);
    bool are_same =
        shares->next_id == core->next_dispatcher_id && shares->dispatcher_count == count;
    shares->next_id = core->next_dispatcher_id;
    shares->dispatcher_count = count;
    for (int i = 0; i < TREE; i++) {
        are_same &= shares->ids[i] == sim->broker.ids[tree[i]];
        shares->ids[i] = sim->broker.ids[tree[i]];
    }
    return !are_same;
}

/* True: all is as it was, and nobody is missing. */
static bool look_again(struct sim *sim, struct shares *shares)
{
    bool is_same = sim->seen->is_sure, are_found = !are_others(sim, shares);
    for (int i = 0; i < TREE; i++) {
        struct look look, *last = &shares->looks[i];
        const struct dispatcher *of =
            are_found ? last->of : dispatcher_find_id(sim->broker.core, shares->ids[i]);
        memset(&look, 0, sizeof look);
        if (of) {
            look.of = of;
            look.parent = of->parent;
            look.waits_at = of->waits_at;
            look.running = of->running;
            look.own_running = of->own_running;
            look.mark = of->share_clock;
            look.usual_ms = of->usual_ms;
            look.weight = of->record.weight;
        }
        is_same &= memcmp(&look, last, sizeof look) == 0;
        *last = look;
    }
    return is_same;
}

void shares_before(struct sim *sim)
{
    struct shares *shares = sim->seen->shares;
    shares->is_same = look_again(sim, shares);
    if (shares->is_same)
        return;
    pass_time(shares, sim_ms(sim));
    if (look_at_tree(sim, shares) || !sim->seen->is_sure)
        forget(shares);
    look_at_marks(shares);
    look_at_places(shares, shares->place_before);
}

/* How many of these ran when the first one was chosen. */
static void rewind_grants(struct sim *sim, struct shares *shares)
{
    const struct seen *seen = sim->seen;
    for (int top = 0; top < TREE; top++)
        for (int b = 0; b < TREE; b++) {
            struct branch *branch = &shares->branches[top][b];
            branch->most_claim = 0;
            branch->was_ahead = branch->ahead > 0 ? branch->ahead : 0;
            if (!shares->of[b] || !shares->of[top] || !is_branch(shares, top, b))
                continue;
            branch->running = running_of(shares, top, b);
            for (size_t i = 0; i < seen->grant_count; i++)
                branch->running -=
                    branch_of(shares, top, place_of(shares, seen->grants[i].attempt->dispatcher)) ==
                    b;
        }
}

/* It was not chosen, and has moved the mark, perhaps. */
static void forget_marks_above(struct shares *shares, int at)
{
    for (; at >= 0; at = shares->parent[at])
        for (int b = 0; b < TREE; b++)
            shares->branches[at][b].behind = UNKNOWN;
}

/* Who goes on in this turn takes its slots again. */
static void look_who_goes_on(struct sim *sim, struct shares *shares)
{
    const struct berth_core *core = sim->broker.core;
    bool is_moved = false;
    for (int top = 0; top < TREE; top++)
        is_moved |= shares->of[top] && shares->of[top]->share_clock != shares->mark[top];
    if (!is_moved)
        return;
    BERTH_MAP_FOREACH (node, &core->attempts) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, by_id);
        bool is_granted = node->id > (core->opts.epoch << 40 | sim->seen->was_granted);
        if (attempt->slot_ms == sim_ms(sim) && !is_granted)
            forget_marks_above(shares, place_of(shares, attempt->dispatcher));
    }
}

static double ahead_of_time(const struct shares *shares, int top, int branch)
{
    return (double)shares->branches[top][branch].running * (double)shares->of[top]->usual_ms /
           weight_of(shares, top, branch);
}

static void check_passed(struct sim *sim, const struct seen_grant *grant, int top, int chosen,
                         int other, int place)
{
    struct shares *shares = sim->seen->shares;
    struct branch *waiting = &shares->branches[top][other];
    double claims = ahead_of_time(shares, top, chosen) - ahead_of_time(shares, top, other);
    double lead = waiting->lead[chosen];
    if (!waits(shares, shares->place_before, top, chosen, place))
        lower(&lead, waiting->was_ahead);
    if (sim->seen->is_sure && lead + SLACK_MS < claims)
        sim_fail(sim,
                 "%s: job %llu of %s is granted, and %s, which waits, has had at least %.3f s less "
                 "for its weight",
                 shares->of[top]->record.name, (unsigned long long)sim->seen->jobs[grant->job].id,
                 shares->of[chosen]->record.name, shares->of[other]->record.name,
                 (claims - lead) / 1000);
    lower(&shares->branches[top][chosen].lead[other], -claims);
    lift(&waiting->behind, -claims);
}

/* A slot of `top` for this branch of it: chosen before all that wait above. */
static void choose(struct sim *sim, const struct seen_grant *grant, int top, int chosen)
{
    struct shares *shares = sim->seen->shares;
    for (int other = 0; other < TREE; other++) {
        if (!shares->of[other] || other == chosen || !is_branch(shares, top, other))
            continue;
        double claims = ahead_of_time(shares, top, chosen) - ahead_of_time(shares, top, other);
        lift(&shares->branches[top][other].most_claim, -claims);
        for (int place = 0; place < TREE; place++)
            if (is_at_or_above(shares, place, top) && waits_on(shares, top, other, place))
                check_passed(sim, grant, top, chosen, other, place);
    }
    lower(&shares->branches[top][chosen].ahead, 0);
    lift(&shares->branches[top][chosen].behind, 0);
    shares->branches[top][chosen].running++;
}

/* It did not wait there before: it has had at least what the mark says. */
static void come(struct shares *shares, int top, int b)
{
    struct branch *branch = &shares->branches[top][b];
    for (int other = 0; other < TREE; other++)
        lower(&shares->branches[top][other].lead[b], shares->branches[top][other].was_ahead);
    branch->behind = branch->most_claim > 0 ? branch->most_claim : 0;
    lift(&branch->ahead, 0);
}

/* It stands elsewhere than before, or nowhere, and may have come to wait on its way: its branches
 * may be before others as far as the mark is. */
static void move(struct shares *shares, int at)
{
    for (int top = at; top >= 0; top = shares->parent[top])
        for (int other = 0; other < TREE; other++)
            lift(&shares->branches[top][branch_of(shares, top, at)].lead[other],
                 shares->branches[top][other].behind);
}

/* Calls it for each branch that waits where it did not. */
static void each_that_came(struct shares *shares, void (*fn)(struct shares *, int, int))
{
    for (int top = 0; top < TREE; top++)
        for (int b = 0; b < TREE; b++)
            for (int place = 0; place < TREE; place++)
                if (shares->of[b] && is_branch(shares, top, b) &&
                    is_at_or_above(shares, place, top) &&
                    !waits(shares, shares->place_before, top, b, place) &&
                    waits(shares, shares->place, top, b, place))
                    fn(shares, top, b);
}

static bool waits_anywhere(const struct shares *shares, int top, int b)
{
    for (int place = 0; place < TREE; place++)
        if (is_at_or_above(shares, place, top) && waits(shares, shares->place, top, b, place))
            return true;
    return false;
}

void shares_after(struct sim *sim)
{
    struct shares *shares = sim->seen->shares;
    bool is_same = look_again(sim, shares) && shares->is_same;
    if (is_same && sim->seen->grant_count == 0)
        return;
    if (shares->is_same) { /* what shares_before() put off: nothing had changed */
        pass_time(shares, sim_ms(sim));
        memcpy(shares->place_before, shares->place, sizeof shares->place);
    }
    if (look_at_tree(sim, shares) || !sim->seen->is_sure)
        forget(shares);
    look_at_places(shares, shares->place);
    rewind_grants(sim, shares);
    for (size_t i = 0; i < sim->seen->grant_count; i++) {
        const struct seen_grant *grant = &sim->seen->grants[i];
        int at = place_of(shares, grant->attempt->dispatcher);
        for (int top = at; top >= 0; top = shares->parent[top])
            choose(sim, grant, top, branch_of(shares, top, at));
    }
    each_that_came(shares, come);
    look_who_goes_on(sim, shares);
    for (int top = 0; top < TREE; top++)
        for (int b = 0; b < TREE; b++)
            if (shares->of[b] && is_branch(shares, top, b) && !waits_anywhere(shares, top, b))
                shares->branches[top][b].behind = UNKNOWN;
    for (int i = 0; i < TREE; i++)
        if (shares->of[i] && (shares->place[i] < 0 || shares->place[i] != shares->place_before[i]))
            move(shares, i);
    for (int top = 0; top < TREE; top++)
        shares->mark[top] = shares->of[top] ? shares->of[top]->share_clock : 0;
}
