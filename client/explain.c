/* SPDX-License-Identifier: MIT */
/* Why jobs wait. */
#include <berth/explain.h>

#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "client/call.h"

/* What is given away: the snapshot, and the answer in which it lies. */
struct box {
    struct berth_explanation explanation;
    struct berth_answer *answer;
};

struct explain_args {
    berth_job_id id;
    const char *dispatcher;
};

void berth_explanation_free(struct berth_explanation *explanation)
{
    if (!explanation)
        return;
    struct box *box = berth_container_of(explanation, struct box, explanation);
    berth_answer_free(box->answer);
    free(box);
}

static int pack(const struct berth_call *call, uint64_t number, struct berth_buf *frame)
{
    const struct explain_args *args = call->args;
    return berth_pack_explain(number, args->id, args->dispatcher, frame);
}

static int explain(struct berth_client *client, const struct explain_args *args,
                   struct berth_explanation **ret_explanation, int64_t deadline_ms,
                   struct berth_error *err)
{
    struct berth_call call = { .kind = REQUEST_QUERY, .pack = pack, .args = args };
    BERTH_AUTO(berth_answer) answer = NULL;
    int rc = berth_call_run(client, &call, deadline_ms, BERTH_ANSWER_EXPLAINED, &answer, err);
    if (rc < 0)
        return rc;
    struct box *box = calloc(1, sizeof *box);
    if (!box)
        return berth_fail(err, -ENOMEM, "explain");
    box->explanation = answer->explained;
    box->answer = berth_take(answer);
    *ret_explanation = &box->explanation;
    return 0;
}

int berth_job_explain(struct berth_client *client, berth_job_id id,
                      struct berth_explanation **ret_explanation, int64_t timeout_ms,
                      struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    int rc = berth_job_id_check(id, err);
    return rc < 0 ? rc
                  : explain(client, &(struct explain_args){ .id = id }, ret_explanation,
                            deadline_ms, err);
}

int berth_dispatcher_explain(struct berth_client *client, const char *name,
                             struct berth_explanation **ret_explanation, int64_t timeout_ms,
                             struct berth_error *err)
{
    int64_t deadline_ms = berth_deadline_ms(timeout_ms);
    int rc = berth_name_check("dispatcher", name, err);
    return rc < 0 ? rc
                  : explain(client, &(struct explain_args){ .dispatcher = name }, ret_explanation,
                            deadline_ms, err);
}
