/* SPDX-License-Identifier: MIT */
/* What is asked about ended jobs and of dispatchers that shall be empty, as frames. See
 * translate.h.
 */
#include "client/translate.h"

#include <berth/v1/envelope.pb-c.h>

#include "proto/columns.h"
#include "proto/wire.h"

/* protobuf-c has no const; what it packs it only reads. */
static uint64_t *column_of(const uint64_t *ids)
{
    union {
        const uint64_t *ours;
        uint64_t *theirs;
    } column = { .ours = ids };
    return column.theirs;
}

int berth_pack_retry(uint64_t number, const uint64_t *ids, size_t count, struct berth_buf *frame)
{
    Berth__V1__JobRetry retry = BERTH__V1__JOB_RETRY__INIT;
    retry.id = column_of(ids);
    retry.n_id = count;

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_JOB_RETRY;
    envelope.job_retry = &retry;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_discard(uint64_t number, const uint64_t *ids, size_t count, struct berth_buf *frame)
{
    Berth__V1__JobDiscard discard = BERTH__V1__JOB_DISCARD__INIT;
    discard.id = column_of(ids);
    discard.n_id = count;

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_JOB_DISCARD;
    envelope.job_discard = &discard;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_purge(uint64_t number, const char *name, uint64_t below, uint64_t cursor,
                     struct berth_buf *frame)
{
    Berth__V1__DispatcherPurge purge = BERTH__V1__DISPATCHER_PURGE__INIT;
    purge.has_name = 1;
    purge.name = berth_bytes_of(berth_slice_of(name));
    purge.has_below = below != 0;
    purge.below = below;
    purge.has_cursor = cursor != 0;
    purge.cursor = cursor;

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_PURGE;
    envelope.dispatcher_purge = &purge;
    return berth_wire_pack(&envelope, frame);
}

int berth_pack_remove(uint64_t number, const char *name, struct berth_buf *frame)
{
    Berth__V1__DispatcherRemove gone = BERTH__V1__DISPATCHER_REMOVE__INIT;
    gone.has_name = 1;
    gone.name = berth_bytes_of(berth_slice_of(name));

    Berth__V1__Envelope envelope;
    berth_wire_init(&envelope, number);
    envelope.message_case = BERTH__V1__ENVELOPE__MESSAGE_DISPATCHER_REMOVE;
    envelope.dispatcher_remove = &gone;
    return berth_wire_pack(&envelope, frame);
}
