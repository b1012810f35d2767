/* SPDX-License-Identifier: MIT
 *
 * What a shim is to run, in a file without a name: written by the exec thread, mapped by the shim,
 * which was forked before there was such a command and may not allocate.
 */
#pragma once

#include "worker/shim.h"

/* Writes all of `spec` but the descriptors. Returns a descriptor (close-on-exec), or -errno. */
int shim_image_pack(const struct shim_spec *spec);

/* Maps it, for good, and fills in all of `ret_spec` but the descriptors. 0 or -errno.
 * Async-signal-safe. */
int shim_image_unpack(int fd, struct shim_spec *ret_spec);
