/* SPDX-License-Identifier: MIT */
/* A VFS for SQLite over the usual one, that fails on command and remembers what a power cut would
 * leave.
 *
 * Counts every operation that changes a file: write, truncate, sync, delete. Before each one it
 * calls a hook, so that a test can look at the files between any two of them. One thread, one
 * database at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"

enum vfs_op { VFS_WRITE = 1, VFS_TRUNCATE, VFS_SYNC, VFS_DELETE };

enum vfs_fault { VFS_NO_FAULT = 0, VFS_ERROR, VFS_FULL };

/* Makes it the default VFS, or takes it out again. */
void faulty_vfs_install(void);
void faulty_vfs_remove(void);

/* The n-th operation from now (1: the next one) of these kinds (bits 1 << op) fails; all later ones
 * do, too, if `for_ever`. 0: never. */
void faulty_vfs_fail(uint32_t op_bits, uint64_t n, enum vfs_fault fault, bool for_ever);
bool faulty_vfs_has_failed(void);

/* Called before each operation; NULL: not. */
void faulty_vfs_hook(void (*hook)(void *arg, enum vfs_op op), void *arg);

/* What the database and its log hold: now (as after kill -9), or after a power cut, which keeps
 * what was synced and of later writes whatever `rng` draws: each whole, in part, or not at all. */
struct vfs_image {
    unsigned char *bytes[2]; /* database, log; NULL: no file. To be freed */
    size_t count[2];
};
void faulty_vfs_image(struct vfs_image *ret_image, struct berth_rng *power_cut_rng);
void vfs_image_fini(struct vfs_image *image);
/* Writes them as berth.db and berth.db-wal into `dir`. */
void vfs_image_write(const struct vfs_image *image, const char *dir);
