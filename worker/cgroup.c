/* SPDX-License-Identifier: MIT
 *
 * Where the group of this process is mounted stands in /proc/self/mountinfo and /proc/self/cgroup
 * (cgroups(7)). No controllers are enabled, so the rule that processes live in leaves alone does
 * not concern us, and no resource limit changes.
 */
#include "worker/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_PREFIX    "berth-worker-"
#define NAME_BYTES_MAX 64
#define LINE_BYTES_MAX 8192
#define READ_BYTES_MAX 4096

struct cgroup {
    char path[PATH_MAX];
    int procs_fd, kill_fd, events_fd;
};

static int open_at(const char *path, const char *leaf, int flags)
{
    char file[PATH_MAX];
    int bytes = snprintf(file, sizeof file, "%s/%s", path, leaf);
    if (bytes < 0 || (size_t)bytes >= sizeof file)
        return -ENAMETOOLONG;
    int fd = open(file, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int write_text(int fd, const char *text)
{
    return pwrite(fd, text, strlen(text), 0) < 0 ? -errno : 0;
}

/* The first line of `file` that `take` wants; `take` may write into the line. */
static int find_line(const char *file, const char *(*take)(char *line), char *ret_text,
                     size_t text_bytes)
{
    FILE *stream = fopen(file, "re");
    if (!stream)
        return -errno;
    char line[LINE_BYTES_MAX];
    int rc = -ENOENT;
    while (rc < 0 && fgets(line, sizeof line, stream)) {
        line[strcspn(line, "\n")] = '\0';
        const char *text = take(line);
        if (!text)
            continue;
        int bytes = snprintf(ret_text, text_bytes, "%s", text);
        rc = bytes < 0 || (size_t)bytes >= text_bytes ? -ENAMETOOLONG : 0;
        break;
    }
    (void)fclose(stream);
    return rc;
}

/* "0::/PATH" */
static const char *take_own_path(char *line)
{
    return strncmp(line, "0::/", 4) == 0 ? line + 3 : NULL;
}

/* Cuts `line` behind its field `index`, and returns that. Fields are parted by blanks. */
static char *cut_field(char *line, int index)
{
    for (; index > 0 && line; index--) {
        line = strchr(line, ' ');
        if (line)
            line++;
    }
    if (line)
        line[strcspn(line, " ")] = '\0';
    return line;
}

/* "ID PARENT MAJOR:MINOR / MOUNTPOINT OPTIONS ... - cgroup2 SOURCE ..." */
static const char *take_mount_point(char *line)
{
    if (!strstr(line, " - cgroup2 ") || !strstr(line, " / "))
        return NULL;
    return cut_field(line, 4);
}

/* Keepers in different PID namespaces may share a parent group, and cannot ask after each other. */
static uintmax_t pid_namespace(void)
{
    struct stat st;
    return stat("/proc/self/ns/pid", &st) < 0 ? 0 : (uintmax_t)st.st_ino;
}

static void end_group(const char *parent, const char *name)
{
    char path[PATH_MAX];
    int bytes = snprintf(path, sizeof path, "%s/%s", parent, name);
    if (bytes < 0 || (size_t)bytes >= sizeof path)
        return;
    BERTH_AUTO_FD int kill_fd = open_at(path, "cgroup.kill", O_WRONLY);
    if (kill_fd >= 0)
        (void)write_text(kill_fd, "1");
    (void)rmdir(path); /* if the dead are still being reaped, the next keeper will */
}

/* What keepers left behind that are dead: nobody else ends it. */
static void end_left_over(const char *parent)
{
    char prefix[NAME_BYTES_MAX];
    int bytes = snprintf(prefix, sizeof prefix, NAME_PREFIX "%" PRIuMAX "-", pid_namespace());
    DIR *dir = opendir(parent);
    if (!dir)
        return;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char *end;
        if (strncmp(entry->d_name, prefix, (size_t)bytes) != 0)
            continue;
        long pid = strtol(entry->d_name + bytes, &end, 10);
        if (*end == '\0' && pid > 0 && pid <= INT_MAX && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
            end_group(parent, entry->d_name);
    }
    (void)closedir(dir);
}

static int open_files(struct cgroup *cgroup)
{
    cgroup->procs_fd = open_at(cgroup->path, "cgroup.procs", O_WRONLY);
    cgroup->kill_fd = open_at(cgroup->path, "cgroup.kill", O_WRONLY);
    cgroup->events_fd = open_at(cgroup->path, "cgroup.events", O_RDONLY);
    if (cgroup->procs_fd < 0)
        return cgroup->procs_fd;
    if (cgroup->kill_fd < 0)
        return cgroup->kill_fd;
    return cgroup->events_fd < 0 ? cgroup->events_fd : 0;
}

int cgroup_open_in(const char *parent, struct cgroup **ret_cgroup)
{
    end_left_over(parent);
    struct cgroup *cgroup = calloc(1, sizeof *cgroup);
    if (!cgroup)
        return -ENOMEM;
    cgroup->procs_fd = cgroup->kill_fd = cgroup->events_fd = -1;
    int bytes =
        snprintf(cgroup->path, sizeof cgroup->path, "%s/" NAME_PREFIX "%" PRIuMAX "-%" PRIdMAX,
                 parent, pid_namespace(), (intmax_t)getpid());
    int rc = bytes < 0 || (size_t)bytes >= sizeof cgroup->path ? -ENAMETOOLONG : 0;
    if (rc == 0 && mkdir(cgroup->path, 0755) < 0)
        rc = -errno;
    if (rc < 0) {
        free(cgroup);
        return rc;
    }
    rc = open_files(cgroup);
    if (rc < 0) {
        cgroup_free(cgroup);
        return rc;
    }
    *ret_cgroup = cgroup;
    return 0;
}

int cgroup_open(struct cgroup **ret_cgroup)
{
    char own[PATH_MAX / 2], mount_point[PATH_MAX / 2], parent[PATH_MAX];
    int rc = find_line("/proc/self/cgroup", take_own_path, own, sizeof own);
    if (rc == 0)
        rc = find_line("/proc/self/mountinfo", take_mount_point, mount_point, sizeof mount_point);
    if (rc < 0)
        return rc;
    (void)snprintf(parent, sizeof parent, "%s%s", mount_point, strcmp(own, "/") == 0 ? "" : own);
    return cgroup_open_in(parent, ret_cgroup);
}

void cgroup_free(struct cgroup *cgroup)
{
    if (!cgroup)
        return;
    berth_close(cgroup->procs_fd);
    berth_close(cgroup->kill_fd);
    berth_close(cgroup->events_fd);
    (void)rmdir(cgroup->path);
    free(cgroup);
}

int cgroup_enter(const struct cgroup *cgroup)
{
    return write_text(cgroup->procs_fd, "0");
}

int cgroup_kill(const struct cgroup *cgroup)
{
    return write_text(cgroup->kill_fd, "1");
}

bool cgroup_is_empty(const struct cgroup *cgroup)
{
    char text[READ_BYTES_MAX];
    ssize_t bytes = pread(cgroup->events_fd, text, sizeof text - 1, 0);
    if (bytes < 0)
        return errno == ENODEV; /* somebody removed it: rmdir() takes empty ones alone */
    text[bytes] = '\0';
    return strstr(text, "populated 0") != NULL;
}

const char *cgroup_path(const struct cgroup *cgroup)
{
    return cgroup->path;
}
