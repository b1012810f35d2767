/* SPDX-License-Identifier: MIT
 *
 * The log. The global is atomics, so that a level may change while others write.
 *
 * Whoever logs may be the thread that keeps a lease alive, so no write may wait for a reader of
 * stderr. The descriptor's own flags stay as they are: it is shared with whoever started us.
 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

static struct {
    _Atomic(const char *) program;
    atomic_int level;
    _Atomic uint64_t lost_count; /* lines that stderr did not take, not yet told */
} log_global = { .level = BERTH_LOG_INFO };

const char *const berth_log_level_names[] = {
    [BERTH_LOG_ERROR] = "error",
    [BERTH_LOG_WARN] = "warn",
    [BERTH_LOG_INFO] = "info",
    [BERTH_LOG_DEBUG] = "debug",
    NULL,
};

void berth_log_init(const char *program, enum berth_log_level level)
{
    atomic_store(&log_global.program, program);
    atomic_store(&log_global.level, (int)level);
}

enum berth_log_level berth_log_level(void)
{
    return (enum berth_log_level)atomic_load(&log_global.level);
}

/* A line under construction. The room for the closing newline and the mark of a cut is kept back.
 */
struct line {
    char *text;
    size_t bytes;
    bool is_cut;
};

static const char cut_mark[] = "...";
#define LINE_ROOM (BERTH_LOG_LINE_MAX - sizeof cut_mark - 1)

static void put(struct line *line, const char *text, size_t bytes)
{
    if (line->is_cut)
        return;
    if (bytes > LINE_ROOM - line->bytes) {
        bytes = LINE_ROOM - line->bytes;
        line->is_cut = true;
    }
    memcpy(line->text + line->bytes, text, bytes);
    line->bytes += bytes;
}

static bool is_plain(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("._-:/@+,%*[]~", c) != NULL);
}

static void put_quoted(struct line *line, const char *text)
{
    put(line, "\"", 1);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        char escaped[8];
        int bytes;
        if (c == '"' || c == '\\')
            bytes = snprintf(escaped, sizeof escaped, "\\%c", c);
        else if (c == '\n' || c == '\t')
            bytes = snprintf(escaped, sizeof escaped, "\\%c", c == '\n' ? 'n' : 't');
        else if (c < 0x20 || c == 0x7f)
            bytes = snprintf(escaped, sizeof escaped, "\\x%02x", c);
        else
            bytes = snprintf(escaped, sizeof escaped, "%c", c);
        put(line, escaped, (size_t)bytes);
    }
    put(line, "\"", 1);
}

static void put_pair(struct line *line, const char *key, const char *value)
{
    if (line->bytes > 0)
        put(line, " ", 1);
    put(line, key, strlen(key));
    put(line, "=", 1);
    size_t plain = 0;
    while (is_plain((unsigned char)value[plain]))
        plain++;
    if (plain > 0 && value[plain] == '\0')
        put(line, value, plain);
    else
        put_quoted(line, value);
}

static void put_field(struct line *line, const struct berth_log_field *field)
{
    char number[24];
    switch (field->kind) {
    case BERTH_LOG_KIND_TEXT: put_pair(line, field->key, field->text ? field->text : ""); return;
    case BERTH_LOG_KIND_U64: (void)snprintf(number, sizeof number, "%" PRIu64, field->u64); break;
    case BERTH_LOG_KIND_I64: (void)snprintf(number, sizeof number, "%" PRId64, field->i64); break;
    }
    put_pair(line, field->key, number);
}

size_t berth_log_format(char text[static BERTH_LOG_LINE_MAX], int64_t unix_us, const char *program,
                        enum berth_log_level level, const char *event,
                        const struct berth_log_field *fields)
{
    struct line line = { .text = text };
    char time[BERTH_TIME_TEXT_MAX];
    put_pair(&line, "time", berth_time_format(unix_us, time));
    put_pair(&line, "level", berth_log_level_names[level]);
    if (program)
        put_pair(&line, "program", program);
    put_pair(&line, "event", event);
    for (; fields->key; fields++)
        put_field(&line, fields);
    if (line.is_cut) {
        memcpy(text + line.bytes, cut_mark, sizeof cut_mark - 1);
        line.bytes += sizeof cut_mark - 1;
    }
    text[line.bytes++] = '\n';
    return line.bytes;
}

/* Pipes take a call that does not wait since Linux 6.4. Elsewhere there is a look before the write,
 * which another process at the same pipe can still spoil, in the moment in which it gets full. */
static ssize_t write_if_ready(const char *line, size_t bytes)
{
    struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
    if (poll(&out, 1, 0) <= 0 || !(out.revents & POLLOUT))
        return -1;
    return write(STDERR_FILENO, line, bytes);
}

static ssize_t write_pipe(const char *line, size_t bytes)
{
    struct iovec piece = { .iov_base = (void *)(uintptr_t)line, .iov_len = bytes };
    ssize_t written = pwritev2(STDERR_FILENO, &piece, 1, -1, RWF_NOWAIT);
    if (written < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        return write_if_ready(line, bytes);
    return written;
}

/* Whether stderr took the line. */
static bool put_out(const char *line, size_t bytes)
{
    struct stat about;
    ssize_t written;
    if (fstat(STDERR_FILENO, &about) < 0)
        return false;
    if (S_ISSOCK(about.st_mode))
        written = send(STDERR_FILENO, line, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    else if (S_ISFIFO(about.st_mode))
        written = write_pipe(line, bytes);
    else if (S_ISREG(about.st_mode))
        written = write(STDERR_FILENO, line, bytes);
    else
        written = write_if_ready(line, bytes);
    return written > 0;
}

static bool write_line(enum berth_log_level level, const char *event,
                       const struct berth_log_field *fields)
{
    char line[BERTH_LOG_LINE_MAX];
    size_t bytes = berth_log_format(line, berth_clock_wall_us(), atomic_load(&log_global.program),
                                    level, event, fields);
    return put_out(line, bytes);
}

void berth_log_write(enum berth_log_level level, const char *event,
                     const struct berth_log_field *fields)
{
    if ((int)level > atomic_load(&log_global.level))
        return;
    uint64_t lost = atomic_exchange(&log_global.lost_count, 0);
    const struct berth_log_field of_lost[] = { BERTH_LOG_U64("lines", lost), { .key = NULL } };
    bool is_ready = lost == 0 || write_line(BERTH_LOG_WARN, "log_lines_lost", of_lost);
    if (is_ready && write_line(level, event, fields))
        return;
    atomic_fetch_add(&log_global.lost_count, is_ready ? 1 : lost + 1);
}
