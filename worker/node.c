/* SPDX-License-Identifier: MIT */
/* Who this host is; see node.h. */
#include "worker/node.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/text.h"

#define MACHINE_ID_PATH     "/etc/machine-id"
#define BOOT_ID_PATH        "/proc/sys/kernel/random/boot_id"
#define NODE_FILE           "node-id"
#define ID_TEXT_BYTES_MAX   64
#define HEX_DIGITS_OF_ID    (2 * NODE_ID_BYTES)
#define HOST_NAME_BYTES_MAX 64
#define APPLICATION_KEY     UINT64_C(0x62657274682d6e31) /* "berth-n1" */
#define ID_WRITE_TRIES_MAX  3

/* Reads a short file as text. Its length, or -errno. */
static ssize_t read_text(const char *path, char text[static ID_TEXT_BYTES_MAX + 1])
{
    BERTH_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t bytes = read(fd, text, ID_TEXT_BYTES_MAX);
    if (bytes < 0)
        return -errno;
    text[bytes] = '\0';
    return bytes;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* 32 hex digits, among which dashes may stand. */
static bool id_parse(const char *text, uint8_t ret_id[static NODE_ID_BYTES])
{
    uint8_t id[NODE_ID_BYTES] = { 0 };
    size_t digits = 0;
    for (; *text != '\0' && *text != '\n'; text++) {
        int value = hex_value(*text);
        if (value < 0 && *text == '-')
            continue;
        if (value < 0 || digits == HEX_DIGITS_OF_ID)
            return false;
        id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | value);
        digits++;
    }
    if (digits != HEX_DIGITS_OF_ID)
        return false;
    memcpy(ret_id, id, NODE_ID_BYTES);
    return true;
}

int node_boot_id(uint8_t ret_id[static NODE_ID_BYTES], struct berth_error *err)
{
    char text[ID_TEXT_BYTES_MAX + 1];
    ssize_t bytes = read_text(BOOT_ID_PATH, text);
    if (bytes < 0)
        return berth_fail(err, (int)bytes, "read '%s'", BOOT_ID_PATH);
    if (!id_parse(text, ret_id))
        return berth_fail(err, BERTH_EVALUE, "'%s' does not hold an id", BOOT_ID_PATH);
    return 0;
}

int node_nonce(uint8_t ret_nonce[static NODE_ID_BYTES], struct berth_error *err)
{
    if (getrandom(ret_nonce, NODE_ID_BYTES, 0) != NODE_ID_BYTES)
        return berth_fail(err, -errno, "draw random bytes");
    return 0;
}

static void id_of_machine(const uint8_t machine[static NODE_ID_BYTES],
                          uint8_t ret_id[static NODE_ID_BYTES])
{
    struct berth_hash128 hash =
        berth_hash128((struct berth_slice){ machine, NODE_ID_BYTES }, APPLICATION_KEY);
    memcpy(ret_id, &hash.low, sizeof hash.low);
    memcpy(ret_id + sizeof hash.low, &hash.high, sizeof hash.high);
}

/* The folder and those above it, as far as they are not there. */
static int make_folders(const char *path)
{
    char folder[PATH_MAX];
    int bytes = snprintf(folder, sizeof folder, "%s", path);
    if (bytes <= 0 || (size_t)bytes >= sizeof folder)
        return -ENAMETOOLONG;
    for (char *at = folder + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
            return -errno;
        *at = '/';
    }
    return mkdir(folder, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Makes the file with a random id, unless another process was quicker: all of it or nothing. */
static int id_write(const char *path)
{
    uint8_t id[NODE_ID_BYTES];
    char text[HEX_DIGITS_OF_ID + 2], temporary[PATH_MAX];
    if (getrandom(id, sizeof id, 0) != (ssize_t)sizeof id)
        return -errno;
    for (size_t i = 0; i < sizeof id; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", id[i]);
    text[HEX_DIGITS_OF_ID] = '\n';
    int bytes = snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    if (bytes < 0 || (size_t)bytes >= sizeof temporary)
        return -ENAMETOOLONG;

    BERTH_AUTO_FD int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    ssize_t written = write(fd, text, HEX_DIGITS_OF_ID + 1);
    int rc = written == HEX_DIGITS_OF_ID + 1 ? 0 : -EIO;
    if (rc == 0 && link(temporary, path) < 0 && errno != EEXIST)
        rc = -errno;
    (void)unlink(temporary);
    return rc;
}

static int id_of_state(const char *state_dir, uint8_t ret_id[static NODE_ID_BYTES],
                       struct berth_error *err)
{
    char path[PATH_MAX], text[ID_TEXT_BYTES_MAX + 1];
    int bytes = snprintf(path, sizeof path, "%s/%s", state_dir, NODE_FILE);
    if (bytes < 0 || (size_t)bytes >= sizeof path)
        return berth_fail(err, -ENAMETOOLONG, "state folder '%.64s...'", state_dir);
    int rc = make_folders(state_dir);
    for (int i = 0; rc >= 0 && i < ID_WRITE_TRIES_MAX; i++) {
        ssize_t got = read_text(path, text);
        if (got >= 0) {
            if (id_parse(text, ret_id))
                return 0;
            return berth_fail(err, BERTH_EVALUE, "'%s' does not hold an id: remove it", path);
        }
        rc = got == -ENOENT ? id_write(path) : (int)got;
    }
    return berth_fail(err, rc < 0 ? rc : -EAGAIN, "keep the id of this host in '%s'", path);
}

int node_id_from(const char *machine_id_path, const char *state_dir,
                 uint8_t ret_id[static NODE_ID_BYTES], struct berth_error *err)
{
    char text[ID_TEXT_BYTES_MAX + 1];
    uint8_t machine[NODE_ID_BYTES];
    if (machine_id_path && read_text(machine_id_path, text) > 0 && id_parse(text, machine)) {
        id_of_machine(machine, ret_id);
        return 0;
    }
    return id_of_state(state_dir, ret_id, err);
}

int node_id(uint8_t ret_id[static NODE_ID_BYTES], struct berth_error *err)
{
    char path[PATH_MAX];
    const char *state = getenv("STATE_DIRECTORY"), *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int bytes;
    if (state && state[0] != '\0') /* of several, with colons between, the first is ours */
        bytes = snprintf(path, sizeof path, "%.*s", (int)strcspn(state, ":"), state);
    else if (xdg && xdg[0] == '/')
        bytes = snprintf(path, sizeof path, "%s/berth", xdg);
    else
        bytes = snprintf(path, sizeof path, "%s/.local/state/berth", home ? home : "");
    if (bytes < 0 || (size_t)bytes >= sizeof path)
        return berth_fail(err, -ENAMETOOLONG, "state folder");
    return node_id_from(MACHINE_ID_PATH, path, ret_id, err);
}

void node_default_name(pid_t process, char ret_name[static NODE_NAME_BYTES_MAX + 1])
{
    char host[HOST_NAME_BYTES_MAX + 1] = "";
    if (gethostname(host, HOST_NAME_BYTES_MAX) < 0 || host[0] == '\0')
        (void)snprintf(host, sizeof host, "host");
    for (char *at = host; *at != '\0'; at++) {
        bool is_fine = hex_value(*at) >= 0 || (*at >= 'a' && *at <= 'z') ||
                       (*at >= 'A' && *at <= 'Z') || *at == '.' || *at == '_' || *at == '-';
        if (!is_fine)
            *at = '_';
    }
    char pid[24];
    int pid_bytes = snprintf(pid, sizeof pid, "-%ld", (long)process);
    int host_bytes = NODE_NAME_BYTES_MAX - pid_bytes;
    (void)snprintf(ret_name, NODE_NAME_BYTES_MAX + 1, "%.*s%s", host_bytes, host, pid);
    if (!berth_name_is_valid(ret_name))
        ret_name[0] = 'h';
}

uint32_t node_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (uint32_t)count : 1;
}
