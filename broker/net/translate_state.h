/* SPDX-License-Identifier: MIT */
/* What the translate*.c files share, and nobody else. */
#pragma once

#include <berth/v1/envelope.pb-c.h>

#include "base/arena.h"
#include "base/buf.h"
#include "translate.h"

#define TRANSLATE_EVENT_BYTES_MAX                                                                  \
    (64u << 20)                             /* an event, beside the frame it was unpacked from     \
                                             */
#define TRANSLATE_OUT_BYTES_MAX (64u << 20) /* a message before it is packed */

struct berth_translate {
    struct berth_translate_opts opts;
    struct berth_arena in;  /* the frame that came last, and its event */
    struct berth_arena out; /* the message that is being made */
    struct berth_buf frame; /* the frame that was made last */
};

/* Whose message it is. */
struct translate_from {
    uint64_t peer, request;
};

/* A table of names, or a list of them; NULL: no memory. */
const struct berth_slice *translate_slices(struct berth_arena *arena,
                                           const ProtobufCBinaryData *items, size_t count);

/* The jobs of a submit; the fields of who sent it stay 0. 0 or -ENOMEM. */
int translate_jobs(struct berth_arena *arena, const Berth__V1__Submit *message,
                   struct berth_ev_submit *ret_jobs);

/* What reports say of scopes, into the event, and what orders say of them, into the message. 0 or
 * -ENOMEM; to a message also -EMSGSIZE. */
int translate_scope_in(struct berth_arena *arena, const Berth__V1__WorkerReports *message,
                       struct berth_ev_reports *event);
int translate_scope_out(struct berth_arena *arena, const struct berth_do_orders *orders,
                        Berth__V1__WorkerOrders *message);

/* As messages have rows: an array of pointers to them. NULL: no memory. */
void *translate_pointers(struct berth_arena *arena, void *rows, size_t count, size_t row_bytes);

/* Why jobs wait: translate_explain.c. 0 or -ENOMEM. */
int translate_explained(struct berth_arena *arena, const struct berth_do_explained *explained,
                        Berth__V1__Explained *message);

/* Messages of schedules, both ways: translate_schedule.c. 0 or -ENOMEM. */
int translate_schedule_in(struct berth_arena *arena, const Berth__V1__Envelope *envelope,
                          struct translate_from from, struct berth_event *ret_event);
int translate_schedules(struct berth_arena *arena, const struct berth_do_schedules *schedules,
                        Berth__V1__Schedules *message);

/* A message of a worker or a keeper becomes an event. 0 or -ENOMEM. */
int translate_worker_message(struct berth_arena *arena, const Berth__V1__Envelope *envelope,
                             uint64_t peer, struct berth_event *ret_event);

/* The frame of an answer that no step of the core stands behind. 0 or -ENOMEM. `field` and
 * `message` may be NULL. */
int translate_error(struct berth_translate *translate, uint64_t request, int code,
                    const char *field, const char *message, struct berth_slice *ret_frame);
int translate_client_welcome(struct berth_translate *translate, uint64_t request,
                             struct berth_slice *ret_frame);

/* What goes out, one at a time. */
union translate_message {
    Berth__V1__Error error;
    Berth__V1__ClientWelcome client_welcome;
    Berth__V1__Submitted submitted;
    Berth__V1__JobWaited job_waited;
    Berth__V1__JobCancelled job_cancelled;
    Berth__V1__JobChanged job_changed;
    Berth__V1__Explained explained;
    Berth__V1__DispatcherPurged dispatcher_purged;
    Berth__V1__DispatcherRemoved dispatcher_removed;
    Berth__V1__Jobs jobs;
    Berth__V1__JobOutput job_output;
    Berth__V1__Dispatchers dispatchers;
    Berth__V1__Workers workers;
    Berth__V1__BrokerStatus broker_status;
    Berth__V1__Schedules schedules;
    Berth__V1__WorkerWelcome worker_welcome;
    Berth__V1__WorkerJoined worker_joined;
    Berth__V1__WorkerRenewed worker_renewed;
    Berth__V1__WorkerEpoch worker_epoch;
    Berth__V1__WorkerFenced worker_fenced;
    Berth__V1__WorkerOrders worker_orders;
    Berth__V1__WorkerGoneOk worker_gone_ok;
};

/* The message of an effect that goes to a worker or a keeper, into `message` and the envelope; what
 * it points at lies in the arena or is the effect's. 0, -ENOMEM or -EMSGSIZE. */
int translate_worker_effect(struct berth_arena *arena, const struct berth_effect *effect,
                            union translate_message *message, Berth__V1__Envelope *envelope);

/* An optional field of a message that goes out. */
#define TRANSLATE_SET(message, field, value)                                                       \
    ((message)->has_##field = 1, (message)->field = (value))
#define TRANSLATE_SET_BYTES(message, field, slice)                                                 \
    TRANSLATE_SET(message, field, berth_bytes_of(slice))

/* Puts `message.MEMBER`, fresh, into the envelope and gives its address. */
#define TRANSLATE_BEGIN(message, envelope, member, MEMBER)                                         \
    (berth__v1__##member##__init(&(message)->member),                                              \
     (envelope)->message_case = BERTH__V1__ENVELOPE__MESSAGE_##MEMBER,                             \
     (envelope)->member = &(message)->member)
