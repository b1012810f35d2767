/* SPDX-License-Identifier: MIT */
#include "faulty_vfs.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "support/tempdir.h"

/* A change that was not synced yet. */
struct change {
    sqlite3_int64 offset; /* of a truncation: the new size */
    int bytes;            /* -1: a truncation */
    unsigned char *data;
};

/* What is known of the database (0) and its log (1). */
struct tracked {
    bool exists;
    unsigned char *now, *durable;
    size_t now_count, durable_count;
    struct change *changes;
    size_t change_count;
};

struct file {
    sqlite3_file base;
    struct tracked *tracked; /* NULL: neither database nor log */
    sqlite3_file *real;
};

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    struct tracked tracked[2];
    uint32_t op_bits;
    uint64_t countdown;
    enum vfs_fault fault;
    bool for_ever, has_failed;
    void (*hook)(void *arg, enum vfs_op op);
    void *hook_arg;
} faulty;

void faulty_vfs_fail(uint32_t op_bits, uint64_t n, enum vfs_fault fault, bool for_ever)
{
    faulty.op_bits = op_bits;
    faulty.countdown = n;
    faulty.fault = fault;
    faulty.for_ever = for_ever;
    faulty.has_failed = false;
}

bool faulty_vfs_has_failed(void)
{
    return faulty.has_failed;
}

void faulty_vfs_hook(void (*hook)(void *arg, enum vfs_op op), void *arg)
{
    faulty.hook = hook;
    faulty.hook_arg = arg;
}

/* SQLITE_OK, or how this operation fails. */
static int attempt(enum vfs_op op, int error)
{
    if (faulty.hook)
        faulty.hook(faulty.hook_arg, op);
    if (!(faulty.op_bits & (1u << op)) || faulty.countdown == 0)
        return SQLITE_OK;
    if (faulty.countdown > 1) {
        faulty.countdown--;
        return SQLITE_OK;
    }
    faulty.has_failed = true;
    faulty.countdown = faulty.for_ever ? 1 : 0;
    return faulty.fault == VFS_FULL ? SQLITE_FULL : error;
}

static void resize(unsigned char **bytes, size_t *count, size_t wanted)
{
    unsigned char *grown = realloc(*bytes, wanted + 1);
    BERTH_ASSERT(grown);
    if (wanted > *count)
        memset(grown + *count, 0, wanted - *count);
    *bytes = grown;
    *count = wanted;
}

static void apply(unsigned char **bytes, size_t *count, const struct change *change, int part)
{
    if (change->bytes < 0) {
        resize(bytes, count, (size_t)change->offset);
        return;
    }
    size_t end = (size_t)change->offset + (size_t)part;
    if (end > *count)
        resize(bytes, count, end);
    if (part > 0)
        memcpy(*bytes + change->offset, change->data, (size_t)part);
}

static void forget_changes(struct tracked *tracked)
{
    for (size_t i = 0; i < tracked->change_count; i++)
        free(tracked->changes[i].data);
    free(tracked->changes);
    tracked->changes = NULL;
    tracked->change_count = 0;
}

static void tracked_reset(struct tracked *tracked)
{
    forget_changes(tracked);
    free(tracked->now);
    free(tracked->durable);
    *tracked = (struct tracked){ .exists = false };
}

static void record(struct tracked *tracked, sqlite3_int64 offset, int bytes, const void *data)
{
    if (!tracked)
        return;
    struct change *changes =
        reallocarray(tracked->changes, tracked->change_count + 1, sizeof *changes);
    BERTH_ASSERT(changes);
    tracked->changes = changes;
    struct change *change = &changes[tracked->change_count++];
    *change = (struct change){ .offset = offset, .bytes = bytes };
    if (bytes > 0) {
        change->data = malloc((size_t)bytes);
        BERTH_ASSERT(change->data);
        memcpy(change->data, data, (size_t)bytes);
    }
    apply(&tracked->now, &tracked->now_count, change, bytes);
}

static void become_durable(struct tracked *tracked)
{
    if (!tracked)
        return;
    forget_changes(tracked);
    resize(&tracked->durable, &tracked->durable_count, tracked->now_count);
    if (tracked->now_count > 0)
        memcpy(tracked->durable, tracked->now, tracked->now_count);
}

/* The methods of files. */

static struct file *file_of(sqlite3_file *base)
{
    return (struct file *)(void *)base;
}

static int file_close(sqlite3_file *base)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods ? real->pMethods->xClose(real) : SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *to, int bytes, sqlite3_int64 offset)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xRead(real, to, bytes, offset);
}

static int file_write(sqlite3_file *base, const void *from, int bytes, sqlite3_int64 offset)
{
    struct file *file = file_of(base);
    int rc = attempt(VFS_WRITE, SQLITE_IOERR_WRITE);
    if (rc != SQLITE_OK)
        return rc;
    record(file->tracked, offset, bytes, from);
    return file->real->pMethods->xWrite(file->real, from, bytes, offset);
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct file *file = file_of(base);
    int rc = attempt(VFS_TRUNCATE, SQLITE_IOERR_TRUNCATE);
    if (rc != SQLITE_OK)
        return rc;
    record(file->tracked, size, -1, NULL);
    return file->real->pMethods->xTruncate(file->real, size);
}

static int file_sync(sqlite3_file *base, int flags)
{
    struct file *file = file_of(base);
    int rc = attempt(VFS_SYNC, SQLITE_IOERR_FSYNC);
    if (rc != SQLITE_OK)
        return rc;
    become_durable(file->tracked);
    return file->real->pMethods->xSync(file->real, flags);
}

static int file_size(sqlite3_file *base, sqlite3_int64 *ret_size)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xFileSize(real, ret_size);
}

static int file_lock(sqlite3_file *base, int level)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xLock(real, level);
}

static int file_unlock(sqlite3_file *base, int level)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xUnlock(real, level);
}

static int file_check_reserved(sqlite3_file *base, int *ret_is_reserved)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xCheckReservedLock(real, ret_is_reserved);
}

static int file_control(sqlite3_file *base, int op, void *arg)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xFileControl(real, op, arg);
}

static int file_sector_size(sqlite3_file *base)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xSectorSize(real);
}

/* Of the disk's promises the one that the backend asks for, and that cut_power keeps: a write that
 * is torn leaves the bytes around it alone. */
static int file_characteristics(sqlite3_file *base)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xDeviceCharacteristics(real) & SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* Version 1: no shared memory, which exclusive locking does not need. */
static const sqlite3_io_methods file_methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
};

/* The VFS. */

static struct tracked *tracked_of(int flags)
{
    if (flags & SQLITE_OPEN_MAIN_DB)
        return &faulty.tracked[0];
    return flags & SQLITE_OPEN_WAL ? &faulty.tracked[1] : NULL;
}

static void track(struct tracked *tracked, sqlite3_file *real)
{
    if (!tracked)
        return;
    tracked_reset(tracked);
    tracked->exists = true;
    sqlite3_int64 size = 0;
    int rc = real->pMethods->xFileSize(real, &size);
    BERTH_ASSERT(rc == SQLITE_OK);
    resize(&tracked->now, &tracked->now_count, (size_t)size);
    if (size > 0)
        rc = real->pMethods->xRead(real, tracked->now, (int)size, 0);
    BERTH_ASSERT(rc == SQLITE_OK);
    become_durable(tracked);
}

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *base, int flags,
                    int *ret_flags)
{
    (void)vfs;
    struct file *file = file_of(base);
    *file = (struct file){ .tracked = tracked_of(flags) };
    file->real = (sqlite3_file *)(void *)(file + 1);
    int rc = faulty.real->xOpen(faulty.real, name, file->real, flags, ret_flags);
    if (rc != SQLITE_OK)
        return rc;
    file->base.pMethods = &file_methods;
    track(file->tracked, file->real);
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int is_durable)
{
    (void)vfs;
    int rc = attempt(VFS_DELETE, SQLITE_IOERR_DELETE);
    if (rc != SQLITE_OK)
        return rc;
    size_t bytes = strlen(name);
    if (bytes > 4 && strcmp(name + bytes - 4, "-wal") == 0)
        tracked_reset(&faulty.tracked[1]);
    return faulty.real->xDelete(faulty.real, name, is_durable);
}

void faulty_vfs_install(void)
{
    faulty.real = sqlite3_vfs_find("unix");
    BERTH_ASSERT(faulty.real);
    faulty.vfs = *faulty.real;
    faulty.vfs.zName = "faulty";
    faulty.vfs.pNext = NULL;
    faulty.vfs.szOsFile = (int)sizeof(struct file) + faulty.real->szOsFile;
    faulty.vfs.xOpen = vfs_open;
    faulty.vfs.xDelete = vfs_delete;
    int rc = sqlite3_vfs_register(&faulty.vfs, 1);
    BERTH_ASSERT(rc == SQLITE_OK);
}

void faulty_vfs_remove(void)
{
    (void)sqlite3_vfs_unregister(&faulty.vfs);
    tracked_reset(&faulty.tracked[0]);
    tracked_reset(&faulty.tracked[1]);
    faulty_vfs_fail(0, 0, VFS_NO_FAULT, false);
    faulty_vfs_hook(NULL, NULL);
}

/* Images. */

static void cut_power(const struct tracked *tracked, struct berth_rng *rng, unsigned char **bytes,
                      size_t *count)
{
    resize(bytes, count, tracked->durable_count);
    if (tracked->durable_count > 0)
        memcpy(*bytes, tracked->durable, tracked->durable_count);
    for (size_t i = 0; i < tracked->change_count; i++) {
        const struct change *change = &tracked->changes[i];
        uint64_t fate = berth_rng_below(rng, 5);
        if (fate <= 1)
            apply(bytes, count, change, change->bytes);
        else if (fate == 2 && change->bytes > 0)
            apply(bytes, count, change, (int)berth_rng_below(rng, (uint64_t)change->bytes));
    }
}

void faulty_vfs_image(struct vfs_image *ret_image, struct berth_rng *power_cut_rng)
{
    *ret_image = (struct vfs_image){ .count = { 0, 0 } };
    for (size_t i = 0; i < 2; i++) {
        const struct tracked *tracked = &faulty.tracked[i];
        if (!tracked->exists)
            continue;
        if (power_cut_rng) {
            cut_power(tracked, power_cut_rng, &ret_image->bytes[i], &ret_image->count[i]);
            continue;
        }
        resize(&ret_image->bytes[i], &ret_image->count[i], tracked->now_count);
        if (tracked->now_count > 0)
            memcpy(ret_image->bytes[i], tracked->now, tracked->now_count);
    }
}

void vfs_image_fini(struct vfs_image *image)
{
    free(image->bytes[0]);
    free(image->bytes[1]);
    *image = (struct vfs_image){ .count = { 0, 0 } };
}

void vfs_image_write(const struct vfs_image *image, const char *dir)
{
    static const char *const names[2] = { "berth.db", "berth.db-wal" };
    for (size_t i = 0; i < 2; i++) {
        BERTH_AUTO_MEM char *path = tempdir_path(dir, names[i]);
        (void)unlink(path);
        if (!image->bytes[i])
            continue;
        BERTH_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        BERTH_ASSERT(fd >= 0);
        ssize_t written = write(fd, image->bytes[i], image->count[i]);
        BERTH_ASSERT(written == (ssize_t)image->count[i]);
    }
}
