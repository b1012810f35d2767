/* SPDX-License-Identifier: MIT */
/* Rule 11: in no stretch of time are there more starts than burst + rate x time, whatever crashes
 * between them. A start counts when it is granted.
 *
 * A rate of less than a start a minute has its next token by the wall clock after a restart. So a
 * clock that is put forward gives time away, and what it was put forward by is added to the
 * stretch; one that is put back takes nothing off it.
 */
#include <stdlib.h>

#include "sim.h"

#define DRIP_EACH  16 /* one of so many runs: each of its jobs takes a minute */
#define STARTS_MAX 4096
#define JUMPS_MAX  256
#define MINUTE_MS  60000

struct jump {
    int64_t at_us, ahead_us; /* how far the clock was put forward by then, in all */
};

struct start {
    int64_t granted_ms, ahead_ms;
};

struct check_rates {
    struct start starts[SIM_DISPATCHERS][STARTS_MAX];
    size_t start_count[SIM_DISPATCHERS];
    struct jump jumps[JUMPS_MAX];
    size_t jump_count;
};

bool rates_have_drip(const struct sim *sim)
{
    return sim->opts.seed % DRIP_EACH == 5 && !sim->opts.is_a_day;
}

static struct check_rates *rates_of(struct sim *sim)
{
    struct checkers *checkers = &sim->checkers;
    if (!checkers->rates)
        checkers->rates = berth_arena_zalloc(&checkers->arena, sizeof *checkers->rates);
    BERTH_ASSERT(checkers->rates != NULL);
    return checkers->rates;
}

void check_rate_jump(struct sim *sim, int64_t jump_us)
{
    struct check_rates *rates = rates_of(sim);
    if (jump_us <= 0)
        return;
    if (rates->jump_count == JUMPS_MAX)
        sim_fail(sim, "too many jumps of the clock for one run");
    int64_t before_us = rates->jump_count ? rates->jumps[rates->jump_count - 1].ahead_us : 0;
    rates->jumps[rates->jump_count++] =
        (struct jump){ .at_us = sim->now_us, .ahead_us = before_us + jump_us };
}

static int64_t ahead_ms(const struct check_rates *rates, int64_t at_ms)
{
    int64_t ahead_us = 0;
    for (size_t i = 0; i < rates->jump_count && rates->jumps[i].at_us <= at_ms * MS; i++)
        ahead_us = rates->jumps[i].ahead_us;
    return ahead_us / MS;
}

void check_rate_start(struct sim *sim, const struct run *run)
{
    struct check_rates *rates = rates_of(sim);
    int64_t granted_ms = check_attempt_of(sim, run->attempt)->granted_ms;
    for (int at = (int)run->dispatcher; at >= 0; at = sim_rules[at].parent) {
        size_t *count = &rates->start_count[at];
        if (!sim_rules[at].rate_count)
            continue;
        if (*count == STARTS_MAX)
            sim_fail(sim, "too many starts for one run");
        rates->starts[at][(*count)++] =
            (struct start){ .granted_ms = granted_ms, .ahead_ms = ahead_ms(rates, granted_ms) };
    }
}

static bool is_slow(const struct sim_rule *rule)
{
    return rule->rate_ms > rule->rate_count * MINUTE_MS;
}

/* Else a crash would hide a start. */
void check_token_stored(struct sim *sim, const struct berth_order_grant *grant)
{
    const struct sim_rule *rule = &sim_rules[sim_dispatcher_index(sim, grant->dispatcher)];
    if (is_slow(rule) && !check_attempt_of(sim, grant->attempt)->is_token_stored)
        sim_fail(sim, "attempt %llx of %s is granted and its token is not stored",
                 (unsigned long long)grant->attempt, rule->name);
}

static int ascending(const void *a, const void *b)
{
    const struct start *x = a, *y = b;
    return x->granted_ms < y->granted_ms ? -1 : x->granted_ms > y->granted_ms;
}

static void check_stretch(struct sim *sim, unsigned dispatcher, size_t first, size_t last)
{
    const struct sim_rule *rule = &sim_rules[dispatcher];
    const struct start *starts = rates_of(sim)->starts[dispatcher];
    int64_t time_ms = starts[last].granted_ms - starts[first].granted_ms;
    int64_t beyond = (int64_t)(last - first + 1 - rule->burst);
    if (is_slow(
            rule)) /* and parts of milliseconds: of each token that was loaded, and of the jump */
        time_ms += starts[last].ahead_ms - starts[first].ahead_ms + beyond + 1;
    if (beyond * rule->rate_ms > rule->rate_count * time_ms)
        sim_fail(sim, "%s: %zu starts in %.3f s, the rate is %u in %.0f s and the burst %u",
                 rule->name, last - first + 1, (double)time_ms / 1000, rule->rate_count,
                 (double)rule->rate_ms / 1000, rule->burst);
}

void check_rates(struct sim *sim)
{
    struct check_rates *rates = rates_of(sim);
    for (unsigned i = 0; i < SIM_DISPATCHERS; i++) {
        size_t count = rates->start_count[i];
        qsort(rates->starts[i], count, sizeof *rates->starts[i], ascending);
        for (size_t first = 0; first < count; first++)
            for (size_t last = first + sim_rules[i].burst; last < count; last++)
                check_stretch(sim, i, first, last);
    }
}
