/* SPDX-License-Identifier: MIT
 *
 * Makes the bytes of TZif files for tests, right ones and wrong ones.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <berth/types.h>

#define TZIF_BYTES_MAX 4096

struct tzif {
    uint8_t bytes[TZIF_BYTES_MAX];
    size_t count;
};

struct tzif_kind {
    int32_t offset_s;
    uint8_t is_summer, name_at;
};

/* What stands in the one block of version 1, or in the second of the others. Counts that are not
 * given as such follow from the arrays. */
struct tzif_block {
    const int64_t *times;
    const uint8_t *kinds_of;
    size_t time_count;
    const struct tzif_kind *kinds;
    size_t kind_count;
    const char *names;
    size_t name_bytes;
    uint32_t leap_count, standard_count, ut_count;
};

/* `version`: 0 for version 1, else '2' to '4'. Without a `footer` (NULL) the file ends behind the
 * block. */
void tzif_make(struct tzif *ret_tzif, uint8_t version, const struct tzif_block *block,
               const char *footer);
struct berth_slice tzif_slice(const struct tzif *tzif);
