/* SPDX-License-Identifier: MIT */
/* A time zone: how far its clock is ahead of UTC at an instant. Pure.
 *
 * Made of the bytes of a TZif file (RFC 9636, versions 1 to 4): its transitions, and for the years
 * behind the last one the rule in its footer. Who reads the file is broker/zone_file.h. A struct
 * zone is a checked view: it borrows the bytes, owns nothing, and may be copied.
 *
 * Leap seconds are not counted: a file that does ("right/...") is refused.
 */
#pragma once

#include "zone_rule.h"

#define ZONE_NAME_BYTES_MAX 64
#define ZONE_BYTES_MAX      (64 * 1024) /* of a file; those of tzdata have less than 4 KiB */

/* All zero: UTC. */
struct zone {
    const uint8_t *times;    /* when the offset changes, big-endian, ascending */
    const uint8_t *kinds_of; /* for each of them which kind of time begins */
    const uint8_t *kinds;
    uint32_t count;     /* of transitions */
    uint8_t time_bytes; /* 4 or 8 */
    int32_t first_s;    /* the offset before the first transition */
    bool has_rule;      /* for all behind the last one */
    struct zone_rule rule;
};

/* "Europe/Berlin": letters, digits, _ + - and between them single slashes, the first a letter. So
 * it stays below the folder of the zones, whichever that is. BERTH_EVALUE; `what` names the option.
 */
int zone_name_check(const char *what, struct berth_slice name, struct berth_error *err);

/* BERTH_EVALUE with a sentence if the bytes are no such file. They must outlive the zone. */
int zone_parse(struct berth_slice tzif, struct zone *ret_zone, struct berth_error *err);

/* A zone that has only a rule, zone_rule.h. */
int zone_of_rule(struct berth_slice text, struct zone *ret_zone, struct berth_error *err);

/* Where `unix_s` (ZONE_UNIX_S_MIN .. ZONE_UNIX_S_MAX) lies. O(log n) in the transitions. */
struct zone_span zone_at(const struct zone *zone, int64_t unix_s);
