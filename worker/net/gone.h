/* SPDX-License-Identifier: MIT
 *
 * Certificates: what the keeper has to prove to the broker, kept and repeated until it is
 * acknowledged. Has a socket of its own while there is anything to prove, and none otherwise.
 *
 * Belongs to the keeper's one thread; blocks in gone_wait() alone.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#include "base/cleanup.h"
#include "worker/fence.h"
#include "worker/net/translate_gone.h"

#define GONE_EVERY_MS         500
#define GONE_SILENT_MS        10000 /* a broker that answers none of them gets a new connection */
#define GONE_CERTIFICATES_MAX 64    /* beyond it the oldest is dropped: its lease decides */
#define GONE_FRAMES_MAX       64    /* taken in one turn */

struct gone_desk;

struct gone_notice {
    uint64_t session; /* 0: it never had one */
    uint32_t child;
    enum gone_cause cause;
    int32_t status;
    /* What the fence lists. Entries that no broker could have granted are left out: the page may be
     * damaged, and one bad line would spoil the message. Sorted in place. */
    struct fence_attempt *attempts;
    size_t count;
    uint64_t culprit; /* the attempt that it died of; 0, or none of those sent: nobody is named */
};

/* What happened in a turn: for the log. */
struct gone_news {
    size_t acknowledged_count;
    struct berth_error trouble; /* code 0: none. The last of the turn */
};

/* `url` and `nonce` (16 bytes) are borrowed for its life. NULL: no memory. */
struct gone_desk *gone_desk_new(const char *url, const uint8_t *nonce);

/* Forgets what was not acknowledged. */
void gone_desk_free(struct gone_desk *desk);

/* Takes a certificate; it is sent in this call if there is a connection. 0 or -ENOMEM. */
int gone_add(struct gone_desk *desk, const struct gone_notice *notice, int64_t now_ms);

/* Takes answers, and sends again what is due. */
void gone_turn(struct gone_desk *desk, int64_t now_ms, struct gone_news *ret_news);

/* Those not acknowledged. */
size_t gone_count(const struct gone_desk *desk);

/* When gone_turn() is due; INT64_MAX: never. */
int64_t gone_next_deadline_ms(struct gone_desk *desk);

/* Waits until an answer may be there, or `fd` is readable, at most `timeout_ms` (negative: for
 * ever). */
void gone_wait(struct gone_desk *desk, int fd, int64_t timeout_ms);
