/* SPDX-License-Identifier: MIT
 *
 * WorkerGone and WorkerGoneOk.
 */
#include "worker/net/translate_gone.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/assert.h"
#include "proto/columns.h"
#include "proto/validate.h"
#include "proto/wire.h"

_Static_assert((int)GONE_BY_EXIT == (int)BERTH__V1__GONE_CAUSE__GONE_EXIT, "the wire's number");
_Static_assert((int)GONE_BY_SIGNAL == (int)BERTH__V1__GONE_CAUSE__GONE_SIGNAL, "the wire's number");
_Static_assert((int)GONE_BY_LEASE == (int)BERTH__V1__GONE_CAUSE__GONE_LEASE, "the wire's number");
_Static_assert((int)GONE_BY_FENCE == (int)BERTH__V1__GONE_CAUSE__GONE_FENCED, "the wire's number");
_Static_assert((int)GONE_BY_DRAIN == (int)BERTH__V1__GONE_CAUSE__GONE_DRAIN, "the wire's number");

const char *gone_cause_name(enum gone_cause cause)
{
    switch (cause) {
    case GONE_BY_EXIT: return "exit";
    case GONE_BY_SIGNAL: return "signal";
    case GONE_BY_LEASE: return "lease";
    case GONE_BY_FENCE: return "fenced";
    case GONE_BY_DRAIN: return "drain";
    }
    BERTH_UNREACHABLE();
}

int translate_gone_out(const struct gone *gone, struct berth_buf *buf)
{
    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, 0);
    Berth__V1__WorkerGone message = BERTH__V1__WORKER_GONE__INIT;
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_WORKER_GONE;
    envelope.worker_gone = &message;

    message.has_session = gone->session != 0;
    message.session = gone->session;
    message.has_nonce = 1;
    message.nonce = berth_bytes_of((struct berth_slice){ gone->nonce, BERTH_ID_BYTES });
    message.has_child = 1;
    message.child = gone->child;
    message.has_cause = 1;
    message.cause = (Berth__V1__GoneCause)gone->cause;
    message.has_status = 1;
    message.status = gone->status;
    message.n_attempt = gone->count;
    message.attempt = gone->attempts;
    message.n_job = gone->count;
    message.job = gone->jobs;
    message.n_number = berth_column_trim_u32(gone->numbers, gone->count);
    message.number = gone->numbers;
    message.has_culprit = gone->culprit != 0;
    message.culprit = gone->culprit;
    return berth_wire_pack(&envelope, buf);
}

static int read_envelope(const Berth__V1__Envelope *envelope, struct gone_answer *ret_answer,
                         struct berth_error *err)
{
    *ret_answer = (struct gone_answer){ .kind = GONE_ANSWER_OK };
    if (envelope->message_case == BERTH__V1__ENVELOPE__MESSAGE_WORKER_GONE_OK) {
        const Berth__V1__WorkerGoneOk *ok = envelope->worker_gone_ok;
        ret_answer->session = ok->session;
        ret_answer->child = ok->child;
        if (ok->nonce.len == sizeof ret_answer->nonce)
            memcpy(ret_answer->nonce, ok->nonce.data, sizeof ret_answer->nonce);
        return 0;
    }
    if (envelope->message_case == BERTH__V1__ENVELOPE__MESSAGE_ERROR) {
        const Berth__V1__Error *error = envelope->error;
        ret_answer->kind = GONE_ANSWER_REFUSED;
        (void)snprintf(ret_answer->sentence, sizeof ret_answer->sentence, "%.*s",
                       (int)error->message.len, (const char *)error->message.data);
        return 0;
    }
    return berth_fail(err, BERTH_EPROTO, "message '%s': a keeper has no use for it",
                      berth_wire_name(envelope));
}

int translate_gone_in(struct berth_slice frame, struct gone_answer *ret_answer,
                      struct berth_error *err)
{
    struct berth_arena arena;
    berth_arena_init(&arena, BERTH_WIRE_BUDGET_MAX);
    Berth__V1__Envelope *envelope;
    int rc = berth_wire_unpack(frame, &arena, &envelope, err);
    if (rc == 0)
        rc = berth_validate(envelope, BERTH_SIDE_WORKER, err, NULL);
    if (rc == 0)
        rc = read_envelope(envelope, ret_answer, err);
    berth_arena_fini(&arena);
    return rc;
}
