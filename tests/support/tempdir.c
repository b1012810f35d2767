/* SPDX-License-Identifier: MIT
 *
 * Temporary folders for tests.
 */
#include "support/tempdir.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

#define WALK_FDS 16

char *tempdir_path(const char *dir, const char *name)
{
    char *path = NULL;
    int bytes = asprintf(&path, "%s/%s", dir, name);
    BERTH_ASSERT(bytes > 0);
    return path;
}

char *tempdir_new(void)
{
    const char *root = getenv("TMPDIR");
    char *path = tempdir_path(root && root[0] == '/' ? root : "/tmp", "berth-test-XXXXXX");
    BERTH_ASSERT(mkdtemp(path) != NULL);
    return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void tempdir_free(char *path)
{
    if (!path)
        return;
    (void)nftw(path, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS);
    free(path);
}

void tempdir_write(const char *path, const char *text)
{
    BERTH_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    BERTH_ASSERT(fd >= 0);
    size_t bytes = strlen(text);
    BERTH_ASSERT(write(fd, text, bytes) == (ssize_t)bytes);
}
