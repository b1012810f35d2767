/* SPDX-License-Identifier: MIT */
/* The data directory: made, locked, and fit for a database.
 *
 * The lock is an open-file-description lock (fcntl(2), F_OFD_SETLK) on DIR/lock, taken before the
 * database is touched and held until the process ends, however it ends. The file keeps the holder's
 * pid for the sentence that the second one gets. Nothing here may open the database file while
 * SQLite has it open: closing such a descriptor would drop SQLite's own POSIX locks.
 */
#include "broker/store/store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"

#define DIR_MODE     0700
#define FILE_MODE    0600
#define PID_TEXT_MAX 32

/* Where a lock or a sync is a promise of another machine or of a helper process. Numbers: statfs(2)
 * and linux/magic.h. */
static const struct {
    long magic;
    const char *name;
} refused_fs[] = {
    { 0x6969, "NFS" },
    { 0x517b, "SMB" },
    { 0xff534d42, "CIFS" },
    { 0xfe534d42, "SMB2" },
    { 0x01021997, "9P" },
    { 0x00c36400, "Ceph" },
    { 0x5346414f, "AFS" },
    { 0x6b414653, "AFS" },
    { 0x73757245, "Coda" },
    { 0x0bd00bd0, "Lustre" },
    { 0x01161970, "GFS2" },
    { 0x7461636f, "OCFS2" },
    { 0x65735546, "FUSE (sshfs, NTFS, a shared folder of a virtual machine)" },
};

const char *sqlite_dir_refused_fs(long magic)
{
    for (size_t i = 0; i < sizeof refused_fs / sizeof *refused_fs; i++) {
        if ((magic & 0xffffffffL) == refused_fs[i].magic)
            return refused_fs[i].name;
    }
    return NULL;
}

static int sync_dir(const char *path)
{
    BERTH_AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Makes one directory if it is not there, and its name durable. */
static int make_one(const char *path, const char *parent)
{
    if (mkdir(path, DIR_MODE) == 0)
        return sync_dir(parent);
    return errno == EEXIST ? 0 : -errno;
}

/* As mkdir -p. A failure to make a parent that is there but not ours to write is no failure. */
static int make_all(const char *dir)
{
    BERTH_AUTO_MEM char *path = strdup(dir);
    BERTH_AUTO_MEM char *parent = strdup(dir[0] == '/' ? "/" : ".");
    if (!path || !parent)
        return -ENOMEM;
    int rc = 0;
    for (char *at = path + 1; rc == 0 && *path; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        bool is_last = *at == '\0';
        *at = '\0';
        rc = access(path, F_OK) == 0 ? 0 : make_one(path, parent);
        free(parent);
        parent = strdup(path);
        if (!parent)
            return -ENOMEM;
        if (is_last)
            break;
        *at = '/';
    }
    return rc;
}

static int check_fs(int dir_fd, const char *dir, struct berth_error *err)
{
    struct statfs fs;
    if (fstatfs(dir_fd, &fs) < 0)
        return berth_fail(err, -errno, "look at the file system of the data directory '%s'", dir);
    const char *name = sqlite_dir_refused_fs((long)fs.f_type);
    if (!name)
        return 0;
    return berth_fail(
        err, BERTH_ESTORE,
        "the data directory '%s' is on %s: locks and syncs cannot be relied on there; use a local "
        "file system",
        dir, name);
}

/* The pid in the lock file, 0 if it has none. */
static long holder_pid(int lock_fd)
{
    char text[PID_TEXT_MAX] = "";
    ssize_t bytes = pread(lock_fd, text, sizeof text - 1, 0);
    return bytes > 0 ? strtol(text, NULL, 10) : 0;
}

static int write_pid(int lock_fd)
{
    char text[PID_TEXT_MAX];
    int bytes = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(lock_fd, 0) < 0)
        return -errno;
    ssize_t written = pwrite(lock_fd, text, (size_t)bytes, 0);
    if (written < 0)
        return -errno;
    return written == bytes ? 0 : -ENOSPC;
}

static int win_lock(struct store_sqlite *self, const char *dir, struct berth_error *err)
{
    self->lock_fd = openat(self->dir_fd, STORE_SQLITE_LOCK,
                           O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (self->lock_fd < 0)
        return berth_fail(err, -errno, "open '%s/" STORE_SQLITE_LOCK "' for writing", dir);
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(self->lock_fd, F_OFD_SETLK, &whole) < 0) {
        if (errno == EAGAIN || errno == EACCES)
            return berth_fail(err, -EBUSY,
                              "the data directory '%s' is in use by the process with pid %ld", dir,
                              holder_pid(self->lock_fd));
        return berth_fail(err, -errno, "lock '%s/" STORE_SQLITE_LOCK "'", dir);
    }
    /* A full disk must not keep a broker from starting: the pid is a courtesy. */
    int rc = write_pid(self->lock_fd);
    if (rc < 0 && rc != -ENOSPC && rc != -EDQUOT)
        return berth_fail(err, rc, "write '%s/" STORE_SQLITE_LOCK "'", dir);
    return 0;
}

/* SQLite would make it with the umask's mode. Its WAL takes the mode of the database. */
static int make_file(struct store_sqlite *self, const char *dir, struct berth_error *err)
{
    BERTH_AUTO_FD int fd =
        openat(self->dir_fd, STORE_SQLITE_FILE, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return berth_fail(err, -errno, "open '%s/" STORE_SQLITE_FILE "' for writing", dir);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return berth_fail(err, -errno, "look at '%s/" STORE_SQLITE_FILE "'", dir);
    if (!S_ISREG(st.st_mode))
        return berth_fail(err, BERTH_ESTORE, "'%s/" STORE_SQLITE_FILE "' is no regular file", dir);
    if (fsync(self->dir_fd) < 0)
        return berth_fail(err, -errno, "sync the data directory '%s'", dir);
    return 0;
}

int sqlite_dir_open(struct store_sqlite *self, const char *dir, struct berth_error *err)
{
    if (!dir || !*dir)
        return berth_fail(err, BERTH_ECONF, "the data directory has no name");
    int rc = make_all(dir);
    if (rc < 0)
        return berth_fail(err, rc, "make the data directory '%s'", dir);
    self->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->dir_fd < 0)
        return berth_fail(err, -errno, "open the data directory '%s'", dir);
    if (asprintf(&self->path, "%s/" STORE_SQLITE_FILE, dir) < 0) {
        self->path = NULL;
        return berth_fail(err, -ENOMEM, "open the data directory '%s'", dir);
    }
    rc = check_fs(self->dir_fd, dir, err);
    if (rc == 0)
        rc = win_lock(self, dir, err);
    if (rc == 0)
        rc = make_file(self, dir, err);
    return rc;
}

int sqlite_reserve_make(struct store_sqlite *self)
{
    BERTH_AUTO_FD int fd = openat(self->dir_fd, STORE_SQLITE_RESERVE,
                                  O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return -errno;
    int rc = posix_fallocate(fd, 0, STORE_SQLITE_RESERVE_BYTES);
    if (rc != 0)
        sqlite_reserve_give_up(self);
    return -rc;
}

void sqlite_reserve_give_up(struct store_sqlite *self)
{
    (void)unlinkat(self->dir_fd, STORE_SQLITE_RESERVE, 0);
}

bool sqlite_disk_is_short(const struct store_sqlite *self)
{
    struct statfs fs;
    if (fstatfs(self->dir_fd, &fs) < 0)
        return false;
    return (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize < STORE_SQLITE_RESERVE_BYTES;
}
