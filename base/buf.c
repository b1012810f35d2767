/* SPDX-License-Identifier: MIT
 *
 * The growing buffer. It doubles, so that n appends cost O(n), but never beyond its maximum.
 */
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

#define CAPACITY_MIN     64
#define FILL_CHUNK_BYTES 4096

void berth_buf_init(struct berth_buf *buf, size_t bytes_max)
{
    BERTH_ASSERT(bytes_max < SIZE_MAX);
    *buf = (struct berth_buf){ .bytes_max = bytes_max };
}

void berth_buf_fini(struct berth_buf *buf)
{
    free(buf->data);
    *buf = (struct berth_buf){ .bytes_max = buf->bytes_max };
}

struct berth_buf *berth_buf_new(size_t bytes_max)
{
    struct berth_buf *buf = malloc(sizeof *buf);
    if (buf)
        berth_buf_init(buf, bytes_max);
    return buf;
}

void berth_buf_free(struct berth_buf *buf)
{
    if (!buf)
        return;
    berth_buf_fini(buf);
    free(buf);
}

struct berth_slice berth_buf_slice(const struct berth_buf *buf)
{
    return (struct berth_slice){ .data = buf->data, .bytes = buf->bytes };
}

const char *berth_buf_text(const struct berth_buf *buf)
{
    return buf->data ? buf->data : "";
}

void berth_buf_clear(struct berth_buf *buf)
{
    buf->bytes = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

int berth_buf_reserve(struct berth_buf *buf, size_t bytes)
{
    if (bytes > buf->bytes_max - buf->bytes)
        return -EMSGSIZE;
    size_t wanted = buf->bytes + bytes + 1; /* the NUL */
    if (wanted <= buf->capacity)
        return 0;

    size_t capacity = buf->capacity > 0 ? buf->capacity : CAPACITY_MIN;
    while (capacity < wanted)
        capacity = capacity > SIZE_MAX / 2 ? wanted : 2 * capacity;
    if (capacity > buf->bytes_max + 1)
        capacity = buf->bytes_max + 1;
    char *data = realloc(buf->data, capacity);
    if (!data)
        return -ENOMEM;
    data[buf->bytes] = '\0';
    buf->data = data;
    buf->capacity = capacity;
    return 0;
}

void berth_buf_added(struct berth_buf *buf, size_t bytes)
{
    BERTH_ASSERT(bytes < buf->capacity - buf->bytes);
    buf->bytes += bytes;
    buf->data[buf->bytes] = '\0';
}

int berth_buf_append(struct berth_buf *buf, const void *data, size_t bytes)
{
    int rc = berth_buf_reserve(buf, bytes);
    if (rc < 0)
        return rc;
    if (bytes > 0)
        memcpy(buf->data + buf->bytes, data, bytes);
    berth_buf_added(buf, bytes);
    return 0;
}

int berth_buf_append_text(struct berth_buf *buf, const char *text)
{
    return berth_buf_append(buf, text, strlen(text));
}

int berth_buf_printf(struct berth_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = berth_buf_vprintf(buf, format, args);
    va_end(args);
    return rc;
}

int berth_buf_vprintf(struct berth_buf *buf, const char *format, va_list args)
{
    va_list measure;
    va_copy(measure, args);
    int bytes = vsnprintf(NULL, 0, format, measure);
    va_end(measure);
    if (bytes < 0)
        return -errno;

    int rc = berth_buf_reserve(buf, (size_t)bytes);
    if (rc < 0)
        return rc;
    (void)vsnprintf(buf->data + buf->bytes, (size_t)bytes + 1, format, args);
    berth_buf_added(buf, (size_t)bytes);
    return 0;
}

void berth_buf_drop(struct berth_buf *buf, size_t bytes)
{
    BERTH_ASSERT(bytes <= buf->bytes);
    if (bytes == 0)
        return;
    memmove(buf->data, buf->data + bytes, buf->bytes - bytes + 1);
    buf->bytes -= bytes;
}

/* One read into the room there is: bytes read, 0 at the end, or -errno. */
static ssize_t fill_once(struct berth_buf *buf, int fd)
{
    size_t room = buf->bytes_max - buf->bytes;
    if (room > FILL_CHUNK_BYTES)
        room = FILL_CHUNK_BYTES;
    if (room == 0) {
        char beyond;
        ssize_t extra = read(fd, &beyond, 1);
        if (extra < 0)
            return -errno;
        return extra > 0 ? -EMSGSIZE : 0;
    }
    int rc = berth_buf_reserve(buf, room);
    if (rc < 0)
        return rc;
    ssize_t bytes = read(fd, buf->data + buf->bytes, room);
    if (bytes < 0)
        return -errno;
    berth_buf_added(buf, (size_t)bytes);
    return bytes;
}

int berth_buf_fill(struct berth_buf *buf, int fd)
{
    for (;;) {
        ssize_t bytes = fill_once(buf, fd);
        if (bytes == 0)
            return 0;
        if (bytes < 0 && bytes != -EINTR)
            return (int)bytes;
    }
}
