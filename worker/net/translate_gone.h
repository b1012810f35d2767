/* SPDX-License-Identifier: MIT
 *
 * The keeper's one message, WorkerGone, into a frame, and the broker's answer out of one. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>
#include <berth/types.h>

#include "base/buf.h"

enum gone_cause { /* the numbers of the wire's GoneCause */
                  GONE_BY_EXIT = 1,
                  GONE_BY_SIGNAL,
                  GONE_BY_LEASE,
                  GONE_BY_FENCE,
                  GONE_BY_DRAIN,
};

/* "exit" "signal" "lease" "fenced" "drain": for logs. Static. */
const char *gone_cause_name(enum gone_cause cause);

/* A child that is dead for certain. Columns have one entry for each attempt that died with it. */
struct gone {
    uint64_t session; /* 0: it never had one */
    const uint8_t *nonce;
    uint32_t child;
    enum gone_cause cause;
    int32_t status;
    uint64_t *attempts, *jobs;
    uint32_t *numbers;
    size_t count;
    uint64_t culprit; /* one of them, or 0 */
};

/* Appends the frame to `buf`. 0, -EMSGSIZE or -ENOMEM. */
int translate_gone_out(const struct gone *gone, struct berth_buf *buf);

/* What the keeper hears. */
enum gone_answer_kind { GONE_ANSWER_OK = 1, GONE_ANSWER_REFUSED };

#define GONE_SENTENCE_BYTES_MAX 256

struct gone_answer {
    enum gone_answer_kind kind;
    uint64_t session; /* OK: of this, or of (nonce, child) */
    uint8_t nonce[16];
    uint32_t child;
    char sentence[GONE_SENTENCE_BYTES_MAX]; /* REFUSED: the broker's reason */
};

/* 0, or a negative code with a sentence: malformed, or not for a keeper. */
int translate_gone_in(struct berth_slice frame, struct gone_answer *ret_answer,
                      struct berth_error *err);
