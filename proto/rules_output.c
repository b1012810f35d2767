/* SPDX-License-Identifier: MIT
 *
 * The fields of output.proto.
 */
#include <berth/v1/envelope.pb-c.h>

#include "proto/rules.h"

#define JOB(number_)           RULE(number_, id, NUMBER, .min = 1, .max = BERTH_JOB_ID_MAX)
#define PLACE(number_, name_)  RULE(number_, name_, NUMBER, .max = BERTH_STREAM_BYTES_MAX)
#define OUTPUT(number_, name_) RULE(number_, name_, BYTES, .max = BERTH_OUTPUT_BYTES_MAX)

static const struct berth_rule job_output_get_rules[] = {
    JOB(1),
    RULE(2, attempt, ANY),
    PLACE(3, out_from),
    PLACE(4, err_from),
};
const struct berth_rules berth_rules_job_output_get =
    RULES(berth__v1__job_output_get__descriptor, job_output_get_rules);

static const struct berth_rule job_output_rules[] = {
    JOB(1),
    RULE(2, state, NUMBER, .min = BERTH__V1__JOB_STATE__JOB_STATE_SCHEDULED,
         .max = BERTH__V1__JOB_STATE__JOB_STATE_CANCELLED),
    RULE(3, attempt, ANY),
    RULE(4, is_over, ANY),
    PLACE(5, out_from),
    OUTPUT(6, out),
    PLACE(7, err_from),
    OUTPUT(8, err),
};
const struct berth_rules berth_rules_job_output =
    RULES(berth__v1__job_output__descriptor, job_output_rules);
