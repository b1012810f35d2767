/* SPDX-License-Identifier: MIT */
#include "zone_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/text.h"

#define FOLDER_DEFAULT "/usr/share/zoneinfo"

static const char *folder(void)
{
    const char *given = getenv("TZDIR");
    return given && given[0] ? given : FOLDER_DEFAULT;
}

/* Opens a file and nothing else; a name that is a folder or a device is no zone. The name has
 * neither "." nor a leading slash, so it stays below the folder unless a link there leads out. */
static int open_file(const char *what, const char *name, int *ret_fd, struct berth_error *err)
{
    char path[PATH_MAX];
    int bytes = snprintf(path, sizeof path, "%s/%s", folder(), name);
    if (bytes < 0 || (size_t)bytes >= sizeof path)
        return berth_fail(err, -ENAMETOOLONG, "%s: time zone '%s' in TZDIR", what, name);
    BERTH_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat info;
    if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
        return berth_fail(err, -errno, "%s: open '%s'", what, path);
    if (fd >= 0 && fstat(fd, &info) < 0)
        return berth_fail(err, -errno, "%s: look at '%s'", what, path);
    if (fd < 0 || !S_ISREG(info.st_mode))
        return berth_fail(err, BERTH_EVALUE,
                          "%s: there is no time zone '%s' in %s (Debian's package is tzdata); "
                          "allowed is UTC or one that is there",
                          what, name, folder());
    *ret_fd = berth_take_fd(&fd);
    return 0;
}

static int read_zone(const char *what, const char *name, struct berth_buf *bytes,
                     struct zone *ret_zone, struct berth_error *err)
{
    BERTH_AUTO_FD int fd = -1;
    int rc = open_file(what, name, &fd, err);
    if (rc < 0)
        return rc;
    rc = berth_buf_fill(bytes, fd);
    if (rc == -EMSGSIZE)
        return berth_fail(err, BERTH_EVALUE,
                          "%s: the file of time zone '%s' has more than %d bytes", what, name,
                          ZONE_BYTES_MAX);
    if (rc < 0)
        return berth_fail(err, rc, "%s: read the file of time zone '%s'", what, name);
    rc = zone_parse(berth_buf_slice(bytes), ret_zone, err);
    return rc < 0 ? berth_fail_wrap(err, rc, "%s: time zone '%s'", what, name) : 0;
}

int zone_file_open(const char *what, struct berth_slice name, struct zone_file *ret_file,
                   struct berth_error *err)
{
    int rc = zone_name_check(what, name, err);
    if (rc < 0)
        return rc;
    if (berth_slice_is_equal(name, berth_slice_of("UTC"))) {
        *ret_file = (struct zone_file){ .bytes = NULL };
        return 0;
    }
    char text[ZONE_NAME_BYTES_MAX + 1] = { 0 };
    memcpy(text, name.data, name.bytes);
    BERTH_AUTO(berth_buf) bytes = berth_buf_new(ZONE_BYTES_MAX);
    if (!bytes)
        return berth_fail(err, -ENOMEM, "%s: time zone '%s'", what, text);
    struct zone zone;
    rc = read_zone(what, text, bytes, &zone, err);
    if (rc < 0)
        return rc;
    *ret_file = (struct zone_file){ .zone = zone, .bytes = berth_take(bytes) };
    return 0;
}

void zone_file_fini(struct zone_file *file)
{
    berth_buf_free(file->bytes);
    *file = (struct zone_file){ .bytes = NULL };
}
