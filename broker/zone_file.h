/* SPDX-License-Identifier: MIT */
/* Time zones by name: finds and reads the file that the system has for one. Blocks, for a read of
 * some kilobytes.
 *
 * The folder is $TZDIR, else /usr/share/zoneinfo (Debian's package tzdata). "UTC" needs no file.
 */
#pragma once

#include "base/buf.h"
#include "broker/core/recur/zone.h"

/* A zone and the bytes that it borrows. All zero: UTC. */
struct zone_file {
    struct zone zone;
    struct berth_buf *bytes;
};

/* `what` names the option in the sentence. BERTH_EVALUE: no name of a zone, there is none of that
 * name, or its file is no TZif; -ENOMEM; the -errno of what went wrong otherwise. After a success
 * `ret_file` is the caller's, for zone_file_fini. */
int zone_file_open(const char *what, struct berth_slice name, struct zone_file *ret_file,
                   struct berth_error *err);
void zone_file_fini(struct zone_file *file);
