/* SPDX-License-Identifier: MIT
 *
 * Preloaded into a program, makes its database's disk fail on command: while the file that
 * $FAULTY_DISK names holds "full", writes to the database and its log fail with ENOSPC; while it
 * holds "sync", syncing them fails with EIO. Everything else, and every other file, is untouched.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORT   __attribute__((visibility("default")))
#define DATABASE "berth.db"

static bool is_told(const char *word)
{
    const char *path = getenv("FAULTY_DISK");
    char text[8] = { 0 };
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return false;
    ssize_t bytes = read(fd, text, sizeof text - 1);
    (void)close(fd);
    return bytes > 0 && strncmp(text, word, strlen(word)) == 0;
}

static bool is_database(int fd)
{
    char link[64], path[4096];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t bytes = readlink(link, path, sizeof path - 1);
    if (bytes < 0)
        return false;
    path[bytes] = '\0';
    return strstr(path, DATABASE) != NULL;
}

/* The function of this name that we stand in front of. */
static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (!function)
        abort();
    return function;
}

static int sync_or_fail(int fd, const char *name)
{
    int (*function)(int);
    void *symbol = next(name);
    memcpy(&function, &symbol, sizeof function);
    if (is_told("sync") && is_database(fd)) {
        errno = EIO;
        return -1;
    }
    return function(fd);
}

EXPORT int fsync(int fd);
EXPORT int fdatasync(int fd);
EXPORT ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset);

int fsync(int fd)
{
    return sync_or_fail(fd, "fsync");
}

int fdatasync(int fd)
{
    return sync_or_fail(fd, "fdatasync");
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
    ssize_t (*function)(int, const void *, size_t, off64_t);
    void *symbol = next("pwrite64");
    memcpy(&function, &symbol, sizeof function);
    if (is_told("full") && is_database(fd)) {
        errno = ENOSPC;
        return -1;
    }
    return function(fd, data, bytes, offset);
}
