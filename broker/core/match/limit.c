/* SPDX-License-Identifier: MIT */
#include "limit.h"

#include "broker/core/batch.h"
#include "broker/core/dispatcher/dispatcher.h"
#include "group.h"
#include "park.h"
#include "share.h"

/* A token has so many parts that each rate earns a whole number of them in a millisecond. */
#define TOKEN_PARTS UINT64_C(86400000)
#define SLOW_MS     60000 /* a token in more than this */

/* ---- tokens ---- */

static uint64_t parts_each_ms(const struct rate *rate)
{
    uint64_t parts = rate->count * (TOKEN_PARTS / (uint64_t)rate->ms);
    return parts > 0 ? parts : 1;
}

static uint64_t parts_now(const struct berth_core *core, const struct dispatcher *dispatcher,
                          const struct rate *rate)
{
    uint64_t most = rate->burst * TOKEN_PARTS, each_ms = parts_each_ms(rate);
    uint64_t gone_ms = (uint64_t)(core->now_ms - dispatcher->tokens_at_ms);
    if (dispatcher->tokens >= most || gone_ms > (most - dispatcher->tokens) / each_ms)
        return most;
    return dispatcher->tokens + gone_ms * each_ms;
}

int64_t limit_token_wait_ms(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    struct rate rate = dispatcher_rate(dispatcher);
    if (!rate.count)
        return 0;
    uint64_t parts = parts_now(core, dispatcher, &rate), each_ms = parts_each_ms(&rate);
    return parts >= TOKEN_PARTS ? 0 : (int64_t)((TOKEN_PARTS - parts + each_ms - 1) / each_ms);
}

void limit_take_tokens(const struct berth_core *core, struct dispatcher *dispatcher)
{
    for (; dispatcher; dispatcher = dispatcher->parent) {
        struct rate rate = dispatcher_rate(dispatcher);
        if (!rate.count)
            continue;
        dispatcher->tokens = parts_now(core, dispatcher, &rate);
        dispatcher->tokens_at_ms = core->now_ms;
        BERTH_ASSERT(dispatcher->tokens >= TOKEN_PARTS);
        dispatcher->tokens -= TOKEN_PARTS;
    }
}

/* Who would not like to wait for a new one after each restart. */
static bool is_slow(const struct rate *rate)
{
    return rate->count && rate->ms > rate->count * SLOW_MS;
}

static bool write_token(struct berth_core *core, const struct dispatcher *dispatcher,
                        uint64_t attempt)
{
    struct rate rate = dispatcher_rate(dispatcher);
    if (!is_slow(&rate))
        return false;
    int64_t wait_ms = limit_token_wait_ms(core, dispatcher);
    batch_add(core, BERTH_RECORD_TOKEN)->token =
        (struct berth_token_record){ .dispatcher = dispatcher->record.id,
                                     .token_us = core->wall_us + wait_ms * 1000,
                                     .attempt = attempt };
    return true;
}

bool limit_write_tokens(struct berth_core *core, struct dispatcher *dispatcher, uint64_t attempt)
{
    bool is_any = false;
    for (; dispatcher; dispatcher = dispatcher->parent)
        is_any |= write_token(core, dispatcher, attempt);
    return is_any;
}

void limit_write_new_rate(struct berth_core *core, struct dispatcher *dispatcher)
{
    (void)write_token(core, dispatcher, 0);
}

/* What it had when it was stored last, less what there is no telling of: more than one token. */
static uint64_t parts_loaded(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    struct rate rate = dispatcher_rate(dispatcher);
    int64_t wait_ms = (dispatcher->record.token_us - core->wall_us + 999) / 1000;
    if (!dispatcher->record.token_us || !is_slow(&rate))
        return 0;
    if (wait_ms <= 0)
        return TOKEN_PARTS;
    uint64_t each_ms = parts_each_ms(&rate);
    return (uint64_t)wait_ms >= TOKEN_PARTS / each_ms ? 0
                                                      : TOKEN_PARTS - (uint64_t)wait_ms * each_ms;
}

void limit_init(const struct berth_core *core, struct dispatcher *dispatcher)
{
    dispatcher->tokens = parts_loaded(core, dispatcher);
    dispatcher->tokens_at_ms = core->now_ms;
    share_init(core, dispatcher);
}

bool limit_settle(const struct berth_core *core, struct dispatcher *dispatcher)
{
    share_settle(core, dispatcher);
    struct rate rate = dispatcher_rate(dispatcher);
    if (!rate.count)
        return false;
    dispatcher->tokens = parts_now(core, dispatcher, &rate);
    dispatcher->tokens_at_ms = core->now_ms;
    return true;
}

/* A rate where none was begins with what it may burst. */
void limit_adapt(const struct berth_core *core, struct dispatcher *dispatcher, bool had_rate)
{
    struct rate rate = dispatcher_rate(dispatcher);
    uint64_t most = rate.burst * TOKEN_PARTS;
    if (!had_rate || dispatcher->tokens > most)
        dispatcher->tokens = most;
    dispatcher->tokens_at_ms = core->now_ms;
}

/* ---- slots and places ---- */

enum lack limit_lack(const struct berth_core *core, const struct dispatcher *dispatcher)
{
    if (dispatcher_is_paused(dispatcher))
        return LACK_PAUSE;
    if (dispatcher->running >= dispatcher_limit(core, dispatcher))
        return LACK_SLOT;
    return limit_token_wait_ms(core, dispatcher) > 0 ? LACK_TOKEN : LACK_NOTHING;
}

void limit_take(struct berth_core *core, struct attempt *attempt)
{
    attempt->slot_ms = core->now_ms;
    if (attempt->group)
        group_take(core, attempt->group);
    if (!attempt->dispatcher)
        return;
    share_start(core, attempt->dispatcher);
    attempt->dispatcher->own_running++;
    for (struct dispatcher *at = attempt->dispatcher; at; at = at->parent)
        at->running++;
}

void limit_give(struct berth_core *core, struct attempt *attempt)
{
    struct dispatcher *dispatcher = attempt->dispatcher;
    if (dispatcher) {
        for (struct dispatcher *at = dispatcher; at; at = at->parent) {
            BERTH_ASSERT(at->running > 0);
            share_settle(core, at);
            at->running--;
            park_wake(core, at);
        }
        BERTH_ASSERT(dispatcher->own_running > 0);
        dispatcher->own_running--;
        share_end(dispatcher, core->now_ms - attempt->slot_ms);
    }
    struct group *group = attempt->group;
    attempt->group = NULL;
    if (group)
        group_give(core, group);
}
