/* SPDX-License-Identifier: MIT
 *
 * Everything that a peer can grow, with its bound, in one place. docs/PROTOCOL.md lists the same
 * numbers for other languages. Lengths of names and keys are in base/text.h,
 * the largest limit is in base/limit.h.
 */
#pragma once

#include <stdint.h>

#include "base/limit.h"
#include "base/text.h"

#define BERTH_PROTOCOL_VERSION 1u

/* Frames and what they become when unpacked (wire.h). */
#define BERTH_FRAME_BYTES_MAX  (16u << 20)
#define BERTH_FRAME_FIELDS_MAX (256u << 10) /* tags in one frame: as many rows, of 64 each */
#define BERTH_FRAME_ROWS_MAX   4096         /* sub-messages in one repeated field */

/* Jobs. */
#define BERTH_PAYLOAD_BYTES_MAX  (1u << 20)
#define BERTH_BODY_BYTES_MAX     (BERTH_PAYLOAD_BYTES_MAX + (64u << 10)) /* a packed Body */
#define BERTH_OUTPUT_BYTES_MAX   (64u << 10) /* of stdout, and of stderr, in a Result */
#define BERTH_STREAM_BYTES_MAX   INT64_MAX   /* a place in stdout or stderr */
#define BERTH_RESULT_BYTES_MAX   (BERTH_PAYLOAD_BYTES_MAX + (192u << 10)) /* a packed Result */
#define BERTH_ARGV_COUNT_MAX     4096
#define BERTH_CONTEXT_COUNT_MAX  64
#define BERTH_CONTEXT_BYTES_MAX  4096        /* keys and values together */
#define BERTH_LINE_BYTES_MAX     (64u << 10) /* of a list of lines, each becoming a job */
#define BERTH_SUBMIT_JOBS_MAX    10000
#define BERTH_JOB_AFTER_MAX      1000 /* jobs that one job waits for */
#define BERTH_CHILD_ORDINAL_MAX  UINT64_C(1000000000)
#define BERTH_SUBMIT_AFTER_MAX   (1u << 20) /* and all of one Submit together */
#define BERTH_IDS_MAX            10000      /* in a wait, a cancel, a get */
#define BERTH_JOBS_ANSWER_MAX    1000       /* rows of one Jobs */
#define BERTH_JOBS_ANSWER_COUNT  100        /* when a JobList does not say */
#define BERTH_NAMES_MAX          4096 /* in a table of names: a join may name all dispatchers */
#define BERTH_JOB_ID_MAX         ((UINT64_C(1) << 53) - 1)
#define BERTH_PRIORITY_MIN       (-100)
#define BERTH_PRIORITY_MAX       100
#define BERTH_MAX_ATTEMPTS_MAX   1000000
#define BERTH_DURATION_MS_MAX    (INT64_C(3650) * 24 * 60 * 60 * 1000) /* ten years */
#define BERTH_GRACE_MS_MAX       (INT64_C(24) * 60 * 60 * 1000)
#define BERTH_TIME_US_MAX        INT64_C(253402300799999999) /* the end of the year 9999 */
#define BERTH_DISPATCHERS_MAX    4096
#define BERTH_WEIGHT_MAX         1000
#define BERTH_BURST_MAX          1000000
#define BERTH_RETENTION_MAX      1000000000
#define BERTH_CHANGED_BY_MAX     64   /* bytes */
#define BERTH_ERROR_KIND_MAX     32   /* bytes; kinds are names */
#define BERTH_ERROR_TEXT_MAX     4096 /* bytes of an attempt's error message */
#define BERTH_SENTENCE_BYTES_MAX 1024 /* reasons, messages of an Error */
#define BERTH_SOFTWARE_BYTES_MAX 255

/* Schedules. */
#define BERTH_CRON_BYTES_MAX       255
#define BERTH_ZONE_NAME_BYTES_MAX  64
#define BERTH_SCHEDULES_ANSWER_MAX 1000

#define BERTH_EXPLAINED_ROWS_MAX 64 /* causes, holders or groups of one Explained */

/* Workers. */
#define BERTH_WORKERS_MAX         4096
#define BERTH_WORKER_HANDLERS_MAX 256
#define BERTH_WORKER_SERVED_MAX   256
#define BERTH_WORKER_SHOWN_MAX    16    /* handlers of one worker in a list of workers: the first */
#define BERTH_CAPACITY_MAX        65535 /* of a worker, with the suspended attempts beside it */
#define BERTH_ALONE_MAX           64    /* processes for suspects, asked for at once */
#define BERTH_CORES_MAX           65535
#define BERTH_ATTEMPTS_MAX        65536 /* lines of one join, of one message of orders or reports */
#define BERTH_ERROR_KINDS_MAX     256   /* in a table of kinds */
#define BERTH_CHILD_SUBMITS_MAX   1024  /* of one message; and of answers to them */
#define BERTH_EPOCH_MAX           ((1u << 24) - 1)
#define BERTH_FENCED_ID_MIN       (UINT64_C(1) << 40) /* attempts and sessions: epoch << 40 | counter */
#define BERTH_LEASE_MS_MAX        (INT64_C(24) * 60 * 60 * 1000)
#define BERTH_ID_BYTES            16 /* client, node, boot, nonce */
