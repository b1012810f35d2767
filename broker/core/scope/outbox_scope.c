/* SPDX-License-Identifier: MIT */
/* What a session is to be told of scopes: who may go on, which children were taken, how they ended.
 * Unlike grants these are not kept over a join: the worker asks again for what it still awaits. */
#include "broker/core/worker/outbox.h"

#include "broker/core/batch.h"
#include "broker/core/step.h"
#include "scope.h"

/* One message: a frame has 16 MiB (proto/limits.h). */
#define RESUMES_MAX      4096
#define CHILDREN_MAX     1024
#define CHILDREN_IDS_MAX 200000
#define ENDS_MAX         256 /* no more than a message names kinds of errors */
#define ENDS_BYTES_MAX   (4u << 20)
#define END_MESSAGE_MAX  4096

void outbox_resume(struct berth_core *core, struct attempt *attempt)
{
    BERTH_ASSERT(!berth_list_is_linked(&attempt->resume_node));
    berth_list_push_back(&attempt->session->out_resumes, &attempt->resume_node);
    outbox_want_flush(core, attempt->session);
}

void outbox_children(struct berth_core *core, struct session *session, struct pending *answer)
{
    berth_list_push_back(&session->out_children, &answer->node);
    outbox_want_flush(core, session);
}

void outbox_child_end(struct berth_core *core, struct session *session, struct child_end *end,
                      const struct berth_order_child_end *order)
{
    size_t kind_bytes = order->error_kind.bytes, bytes = order->error_message.bytes;
    BERTH_ASSERT(kind_bytes < sizeof end->kind);
    end->attempt = order->attempt;
    end->job = order->job;
    end->state = order->state;
    if (kind_bytes)
        memcpy(end->kind, order->error_kind.data, kind_bytes);
    bytes = bytes < END_MESSAGE_MAX ? bytes : END_MESSAGE_MAX;
    char *message = bytes ? block_new(bytes) : NULL;
    if (message)
        memcpy(message, order->error_message.data, bytes);
    end->message = (struct berth_slice){ message, message ? bytes : 0 };
    berth_list_push_back(&session->out_child_ends, &end->node);
    outbox_want_flush(core, session);
}

void outbox_clear_scopes(struct session *session)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&session->out_resumes)))
        ;
    while ((node = berth_list_pop_front(&session->out_children)))
        pending_free(berth_container_of(node, struct pending, node));
    while ((node = berth_list_first(&session->out_child_ends)))
        scope_forget_end(berth_container_of(node, struct child_end, node));
}

bool outbox_has_scopes(const struct session *session)
{
    return !berth_list_is_empty(&session->out_resumes) ||
           !berth_list_is_empty(&session->out_children) ||
           !berth_list_is_empty(&session->out_child_ends);
}

/* ---- sending ---- */

static void take_resumes(struct berth_core *core, struct session *session,
                         struct berth_do_orders *orders)
{
    if (berth_list_is_empty(&session->out_resumes))
        return;
    size_t count = outbox_count(&session->out_resumes, RESUMES_MAX);
    struct berth_suspension *resumes = step_alloc(core, count, sizeof *resumes);
    struct berth_list_node *node;
    while (orders->resume_count < RESUMES_MAX &&
           (node = berth_list_pop_front(&session->out_resumes))) {
        const struct attempt *attempt = berth_container_of(node, struct attempt, resume_node);
        resumes[orders->resume_count++] =
            (struct berth_suspension){ .attempt = attempt->by_id.id,
                                       .number = attempt->suspensions };
    }
    orders->resumes = resumes;
}

static struct berth_order_children order_children(struct berth_core *core,
                                                  const struct pending *answer)
{
    struct berth_order_children order = { .attempt = answer->attempt,
                                          .ordinal = answer->ordinal,
                                          .refusal = answer->refusal };
    if (order.refusal.code) {
        order.refusal.message = step_text(core, "%s", order.refusal.message);
        return order;
    }
    uint64_t *ids = step_alloc(core, answer->count, sizeof *ids);
    for (size_t i = 0; i < answer->count; i++)
        ids[i] = answer->submitted[i].id;
    order.ids = ids;
    order.count = answer->count;
    return order;
}

static void take_children(struct berth_core *core, struct session *session,
                          struct berth_do_orders *orders)
{
    if (berth_list_is_empty(&session->out_children))
        return;
    size_t count = outbox_count(&session->out_children, CHILDREN_MAX);
    struct berth_order_children *children = step_alloc(core, count, sizeof *children);
    struct berth_list_node *node;
    size_t id_count = 0;
    while (orders->children_count < CHILDREN_MAX && id_count < CHILDREN_IDS_MAX &&
           (node = berth_list_pop_front(&session->out_children))) {
        struct pending *answer = berth_container_of(node, struct pending, node);
        children[orders->children_count++] = order_children(core, answer);
        id_count += answer->count;
        pending_free(answer);
    }
    orders->children = children;
}

static void take_child_ends(struct berth_core *core, struct session *session,
                            struct berth_do_orders *orders)
{
    if (berth_list_is_empty(&session->out_child_ends))
        return;
    size_t count = outbox_count(&session->out_child_ends, ENDS_MAX);
    struct berth_order_child_end *ends = step_alloc(core, count, sizeof *ends);
    struct berth_list_node *node;
    size_t bytes = 0;
    while (orders->child_end_count < ENDS_MAX && bytes < ENDS_BYTES_MAX &&
           (node = berth_list_first(&session->out_child_ends))) {
        struct child_end *end = berth_container_of(node, struct child_end, node);
        bytes += end->message.bytes;
        ends[orders->child_end_count++] =
            (struct berth_order_child_end){ .attempt = end->attempt,
                                            .job = end->job,
                                            .state = end->state,
                                            .error_kind = step_copy(core, slice_of(end->kind)),
                                            .error_message = step_copy(core, end->message) };
        scope_forget_end(end);
    }
    orders->child_ends = ends;
}

void outbox_take_scopes(struct berth_core *core, struct session *session,
                        struct berth_do_orders *orders)
{
    take_resumes(core, session, orders);
    take_children(core, session, orders);
    take_child_ends(core, session, orders);
}
