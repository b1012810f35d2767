/* SPDX-License-Identifier: MIT
 *
 * The fields of Explain and Explained.
 */
#include <berth/v1/envelope.pb-c.h>

#include "proto/rules.h"

#define NAME(number_, name_)                                                                       \
    RULE(number_, name_, NAME, .presence = RULE_UNLESS_0, .max = BERTH_NAME_BYTES_MAX)

static const struct berth_rule explain_rules[] = {
    RULE(1, id, NUMBER, .max = BERTH_JOB_ID_MAX),
    NAME(2, dispatcher),
};

const struct berth_rules berth_rules_explain = RULES(berth__v1__explain__descriptor, explain_rules);

static const struct berth_rule cause_rules[] = {
    RULE(1, kind, NAME, .max = BERTH_NAME_BYTES_MAX),
    RULE(2, reason, BYTES, .max = BERTH_SENTENCE_BYTES_MAX),
    RULE(3, count, ANY),
    RULE(4, job, NUMBER, .max = BERTH_JOB_ID_MAX),
    NAME(5, at),
    RULE(6, group, KEY, .presence = RULE_UNLESS_0),
    NAME(7, handler),
    RULE(8, worker, TEXT, .max = BERTH_NAME_BYTES_MAX),
    RULE(9, in_use, ANY),
    RULE(10, limit, ANY),
    RULE(11, since_us, ANY),
    RULE(12, next_us, ANY),
    RULE(13, awaited, NUMBER, .max = BERTH_JOB_ID_MAX),
};
static const struct berth_rules rules_cause =
    RULES(berth__v1__explained_cause__descriptor, cause_rules);

static const struct berth_rule limit_rules[] = {
    RULE(1, name, NAME, .max = BERTH_NAME_BYTES_MAX),
    RULE(2, limit, ANY),
    RULE(3, in_use, ANY),
    RULE(4, is_paused, ANY),
    RULE(5, rate_count, NUMBER, .max = BERTH_RATE_COUNT_MAX),
    RULE(6, rate_ms, NUMBER, .max = BERTH_RATE_MS_MAX),
    RULE(7, burst, NUMBER, .max = BERTH_BURST_MAX),
    RULE(8, token_wait_ms, ANY),
    RULE(9, group_limit, NUMBER, .max = BERTH_LIMIT_VALUE_MAX),
    RULE(10, max_queued, NUMBER, .max = BERTH_LIMIT_VALUE_MAX),
    RULE(11, queued, ANY),
};
static const struct berth_rules rules_limit =
    RULES(berth__v1__explained_limit__descriptor, limit_rules);

static const struct berth_rule holder_rules[] = {
    RULE(1, job, NUMBER, .max = BERTH_JOB_ID_MAX),
    RULE(2, attempt, ANY),
    NAME(3, dispatcher),
    RULE(4, worker, TEXT, .max = BERTH_NAME_BYTES_MAX),
    RULE(5, since_us, ANY),
    RULE(6, is_held, ANY),
};
static const struct berth_rules rules_holder =
    RULES(berth__v1__explained_holder__descriptor, holder_rules);

static const struct berth_rule group_rules[] = {
    RULE(1, name, KEY),
    RULE(2, in_use, ANY),
};
static const struct berth_rules rules_group =
    RULES(berth__v1__explained_group__descriptor, group_rules);

#define ROWS(number_, name_, inside_, count_max_)                                                  \
    RULE(number_, name_, ROWS, .inside = &(inside_), .thing = #name_, .count_max = (count_max_))

static const struct berth_rule explained_rules[] = {
    RULE(1, id, NUMBER, .max = BERTH_JOB_ID_MAX),
    NAME(2, dispatcher),
    RULE(3, state, NUMBER, .max = BERTH__V1__JOB_STATE__JOB_STATE_CANCELLED),
    ROWS(4, cause, rules_cause, BERTH_EXPLAINED_ROWS_MAX),
    RULE(5, more, ANY),
    ROWS(6, limit, rules_limit, BERTH_DISPATCHERS_MAX),
    ROWS(7, holder, rules_holder, BERTH_EXPLAINED_ROWS_MAX),
    RULE(8, holder_count, ANY),
    ROWS(9, group, rules_group, BERTH_EXPLAINED_ROWS_MAX),
    RULE(10, group_count, ANY),
};
const struct berth_rules berth_rules_explained =
    RULES(berth__v1__explained__descriptor, explained_rules);
