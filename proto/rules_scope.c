/* SPDX-License-Identifier: MIT
 *
 * The fields of what stands in reports and orders for scopes: submits of children, and the answers
 * to them.
 */
#include <inttypes.h>

#include <berth/v1/envelope.pb-c.h>

#include "proto/rules.h"

#define PARENT_ATTEMPT(number_)                                                                    \
    RULE(number_, attempt, NUMBER, .min = BERTH_FENCED_ID_MIN, .max = UINT64_MAX)
#define ORDINAL(number_) RULE(number_, ordinal, NUMBER, .min = 1, .max = BERTH_CHILD_ORDINAL_MAX)

static const struct berth_rule child_submit_rules[] = {
    PARENT_ATTEMPT(1),
    RULE(2, job, NUMBER, .min = 1, .max = BERTH_JOB_ID_MAX),
    ORDINAL(3),
    RULE(4, is_supervisor, ANY),
    RULE(5, submit, INNER, .inside = &berth_rules_child_jobs),
};

static int child_submit_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__ChildSubmit *submit = (const Berth__V1__ChildSubmit *)message;
    uint64_t count = submit->submit->n_body_bytes;
    if (submit->ordinal + count - 1 <= BERTH_CHILD_ORDINAL_MAX)
        return 0;
    return RULE_FAIL(checker, "ordinal", BERTH_EPROTO,
                     "ordinal %" PRIu32 " of %" PRIu64 " children: allowed is up to %" PRIu64,
                     submit->ordinal, count, BERTH_CHILD_ORDINAL_MAX - (count - 1));
}
const struct berth_rules berth_rules_child_submit =
    RULES(berth__v1__child_submit__descriptor, child_submit_rules, .check = child_submit_check);

static const struct berth_rule child_submitted_rules[] = {
    PARENT_ATTEMPT(1),
    ORDINAL(2),
    RULE(3, submitted, INNER, .inside = &berth_rules_submitted),
};

/* One refusal stands for all: a parent has all of these children or none. */
static int child_submitted_check(struct berth_checker *checker, const ProtobufCMessage *message)
{
    const Berth__V1__ChildSubmitted *m = (const Berth__V1__ChildSubmitted *)message;
    const Berth__V1__Submitted *submitted = m->submitted;
    if (submitted->n_refused == 0 || submitted->n_refused == submitted->n_id)
        return 0;
    return RULE_FAIL(checker, "refused", BERTH_EPROTO,
                     "refused has %zu of %zu children: allowed are none and all",
                     submitted->n_refused, submitted->n_id);
}
const struct berth_rules berth_rules_child_submitted = RULES(
    berth__v1__child_submitted__descriptor, child_submitted_rules, .check = child_submitted_check);
