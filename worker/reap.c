/* SPDX-License-Identifier: MIT
 *
 * Finds the children in /proc/self/task/TID/children (CONFIG_PROC_CHILDREN; Debian's kernels have
 * it), else by the ppid in every /proc/PID/stat. No stdio, no opendir, no malloc: see the header.
 */
#include "worker/reap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define READ_BYTES_MAX 4096
#define PATH_BYTES_MAX 64
#define STAT_BYTES_MAX 512 /* as far as the parent: pid, a name of 16 bytes, a letter, ppid */

struct dirent64_head { /* getdents64(2) */
    uint64_t inode;
    int64_t offset;
    unsigned short record_bytes;
    unsigned char type;
    char name[];
};

/* Called for each directory entry that is a number. Negative: stop. */
typedef int (*visit_fn)(int dir_fd, pid_t number, const struct reap_spared *spared);

static bool parse_number(const char *text, pid_t *ret_number)
{
    int64_t number = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        number = number * 10 + (*text - '0');
        if (number > INT32_MAX)
            return false;
    }
    *ret_number = (pid_t)number;
    return true;
}

/* Sums up what `visit` returns. */
static int walk_numbers(const char *path, visit_fn visit, const struct reap_spared *spared)
{
    BERTH_AUTO_FD int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return -errno;
    _Alignas(struct dirent64_head) char entries[READ_BYTES_MAX];
    int count = 0;
    for (;;) {
        long bytes = syscall(SYS_getdents64, dir_fd, entries, sizeof entries);
        if (bytes < 0)
            return -errno;
        if (bytes == 0)
            return count;
        for (long at = 0; at < bytes;) {
            const struct dirent64_head *entry = (const void *)(entries + at);
            at += entry->record_bytes;
            pid_t number;
            if (!parse_number(entry->name, &number))
                continue;
            int rc = visit(dir_fd, number, spared);
            if (rc < 0)
                return rc;
            count += rc;
        }
    }
}

/* "NUMBER/LEAF" */
static void path_of(char path[static PATH_BYTES_MAX], pid_t number, const char *leaf)
{
    char digits[16];
    size_t count = 0, at = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (count > 0)
        path[at++] = digits[--count];
    path[at++] = '/';
    while (*leaf)
        path[at++] = *leaf++;
    path[at] = '\0';
}

static int kill_child(pid_t pid, const struct reap_spared *spared)
{
    if (spared && spared->is_spared(spared->arg, pid))
        return 0;
    (void)kill(pid, SIGKILL);
    return 1;
}

static int kill_listed(int task_fd, pid_t tid, const struct reap_spared *spared)
{
    char path[PATH_BYTES_MAX];
    path_of(path, tid, "children");
    BERTH_AUTO_FD int fd = openat(task_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    char text[READ_BYTES_MAX];
    int count = 0;
    pid_t pid = 0;
    for (;;) {
        ssize_t bytes = read(fd, text, sizeof text);
        if (bytes <= 0)
            return count; /* an error means that the thread has ended: its children moved */
        /* Each pid is followed by a blank, and may be cut by the end of `text`. */
        for (ssize_t i = 0; i < bytes; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                pid = pid * 10 + (text[i] - '0');
            } else if (pid > 0) {
                count += kill_child(pid, spared);
                pid = 0;
            }
        }
    }
}

/* The parent, from "PID (NAME) STATE PPID ...", where NAME may hold anything. */
static pid_t parent_of(int proc_fd, pid_t pid)
{
    char path[PATH_BYTES_MAX], text[STAT_BYTES_MAX + 1];
    path_of(path, pid, "stat");
    BERTH_AUTO_FD int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t bytes = read(fd, text, STAT_BYTES_MAX);
    if (bytes <= 0)
        return -1;
    ssize_t at = bytes - 1;
    while (at > 0 && text[at] != ')')
        at--;
    if (at == 0 || at + 4 >= bytes)
        return -1;
    pid_t parent = 0;
    for (at += 4; at < bytes && text[at] >= '0' && text[at] <= '9'; at++)
        parent = parent * 10 + (text[at] - '0');
    return parent;
}

static int kill_if_child(int proc_fd, pid_t pid, const struct reap_spared *spared)
{
    if (parent_of(proc_fd, pid) != getpid())
        return 0;
    return kill_child(pid, spared);
}

int reap_kill_children(const struct reap_spared *spared)
{
    int rc = walk_numbers("/proc/self/task", kill_listed, spared);
    return rc == -ENOENT ? reap_kill_children_by_scan(spared) : rc;
}

int reap_kill_children_by_scan(const struct reap_spared *spared)
{
    return walk_numbers("/proc", kill_if_child, spared);
}
