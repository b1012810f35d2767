/* SPDX-License-Identifier: MIT
 *
 * Calls that move bytes from one descriptor to another inside the kernel: sendfile, splice,
 * copy_file_range. None can be told not to wait without touching O_NONBLOCK, so they run on a
 * thread of weft_io(), deaf to cancelling.
 *
 * But sendfile() to a socket or a pipe waits for a peer, as long as it likes: that it may not do on
 * a thread that others need for the disk. There the bytes take the way through memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "intercept.h"
#include "intercept_kind.h"
#include "intercept_transfer.h"

#define PIECE_BYTES ((size_t)64 << 10)

WEFT_NEXT(ssize_t, sendfile, int out_fd, int in_fd, off_t *offset, size_t count)
WEFT_NEXT(ssize_t, splice, int in_fd, off64_t *in_offset, int out_fd, off64_t *out_offset,
          size_t count, unsigned flags)
WEFT_NEXT(ssize_t, copy_file_range, int in_fd, off64_t *in_offset, int out_fd, off64_t *out_offset,
          size_t count, unsigned flags)

const char weft_wrappers_copy;

/* One call; the offsets are copies, for the caller's may lie on its stack. */
struct copying {
    ssize_t (*fn)(struct copying *copying);
    int in_fd, out_fd;
    off64_t in_offset, out_offset;
    off64_t *in, *out; /* the two above, or NULL */
    size_t count;
    unsigned flags;
    ssize_t rc;
};

static void copying_run(void *arg)
{
    struct copying *copying = arg;
    ssize_t rc = copying->fn(copying);
    copying->rc = rc < 0 ? -errno : rc;
}

/* `like`: the call, with the offsets where the caller has them. */
static ssize_t copying_pooled(struct weft_task *self, const struct copying *like)
{
    struct copying *copying = malloc(sizeof *copying);
    if (!copying)
        return weft_call_leave(self, -ENOMEM);
    *copying = *like;
    if (like->in) {
        copying->in_offset = *like->in;
        copying->in = &copying->in_offset;
    }
    if (like->out) {
        copying->out_offset = *like->out;
        copying->out = &copying->out_offset;
    }
    if (weft_call_pooled(self, "copy", copying_run, copying) < 0)
        copying_run(copying); /* then it blocks here */
    if (like->in)
        *like->in = copying->in_offset;
    if (like->out)
        *like->out = copying->out_offset;
    ssize_t rc = copying->rc;
    free(copying);
    return weft_call_leave(self, rc);
}

static ssize_t run_sendfile(struct copying *c)
{
    return next_sendfile()(c->out_fd, c->in_fd, c->in, c->count);
}

static ssize_t run_splice(struct copying *c)
{
    return next_splice()(c->in_fd, c->in, c->out_fd, c->out, c->count, c->flags);
}

static ssize_t run_copy_file_range(struct copying *c)
{
    return next_copy_file_range()(c->in_fd, c->in, c->out_fd, c->out, c->count, c->flags);
}

static bool is_by_memory(int out_fd, int in_fd)
{
    enum weft_fd_kind out = weft_kind(weft_fd_look(out_fd));
    return weft_kind(weft_fd_look(in_fd)) == WEFT_KIND_FILE &&
           (out == WEFT_KIND_STREAM || out == WEFT_KIND_MESSAGES || out == WEFT_KIND_NOWAIT);
}

/* One piece: how much was sent of it, 0 at the end of the file, or -errno. */
static ssize_t send_piece(struct weft_task *self, int out_fd, int in_fd, off_t offset,
                          struct iovec piece)
{
    const struct weft_transfer from = {
        .fd = in_fd,
        .iov = &piece,
        .iov_count = 1,
        .has_offset = true,
        .offset = offset,
    };
    ssize_t got = weft_transfer_in(self, &from);
    if (got <= 0)
        return got;
    piece.iov_len = (size_t)got;
    return weft_transfer_out(
        self, &(struct weft_transfer){ .fd = out_fd, .iov = &piece, .iov_count = 1 });
}

/* The file's own position moves only without `offset`, and only over what was sent. */
static ssize_t send_by_memory(struct weft_task *self, int out_fd, int in_fd, off_t *offset,
                              size_t count)
{
    off_t at = offset ? *offset : lseek(in_fd, 0, SEEK_CUR);
    struct iovec piece = { .iov_base = malloc(PIECE_BYTES) };
    size_t done = 0;
    ssize_t rc = piece.iov_base ? 1 : -ENOMEM;
    while (rc > 0 && done < count) {
        piece.iov_len = count - done < PIECE_BYTES ? count - done : PIECE_BYTES;
        rc = send_piece(self, out_fd, in_fd, at + (off_t)done, piece);
        done += rc > 0 ? (size_t)rc : 0;
    }
    free(piece.iov_base);
    if (offset)
        *offset = at + (off_t)done;
    else
        (void)lseek(in_fd, at + (off_t)done, SEEK_SET);
    return done > 0 ? (ssize_t)done : rc < 0 ? rc : 0;
}

_Static_assert(sizeof(off_t) == sizeof(off64_t), "sendfile() and sendfile64() are the same");

ssize_t sendfile(int out_fd, int in_fd, off_t *offset, size_t count)
{
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_sendfile()(out_fd, in_fd, offset, count);
    if (is_by_memory(out_fd, in_fd) && (!offset || *offset >= 0))
        return weft_call_leave(self, send_by_memory(self, out_fd, in_fd, offset, count));
    const struct copying like = {
        .fn = run_sendfile,
        .in_fd = in_fd,
        .out_fd = out_fd,
        .in = offset,
        .count = count,
    };
    return copying_pooled(self, &like);
}

ssize_t sendfile64(int out_fd, int in_fd, off64_t *offset, size_t count)
    __attribute__((alias("sendfile")));

ssize_t splice(int in_fd, off64_t *in_offset, int out_fd, off64_t *out_offset, size_t count,
               unsigned flags)
{
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_splice()(in_fd, in_offset, out_fd, out_offset, count, flags);
    const struct copying like = {
        .fn = run_splice,
        .in_fd = in_fd,
        .out_fd = out_fd,
        .in = in_offset,
        .out = out_offset,
        .count = count,
        .flags = flags,
    };
    return copying_pooled(self, &like);
}

ssize_t copy_file_range(int in_fd, off64_t *in_offset, int out_fd, off64_t *out_offset,
                        size_t count, unsigned flags)
{
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_copy_file_range()(in_fd, in_offset, out_fd, out_offset, count, flags);
    const struct copying like = {
        .fn = run_copy_file_range,
        .in_fd = in_fd,
        .out_fd = out_fd,
        .in = in_offset,
        .out = out_offset,
        .count = count,
        .flags = flags,
    };
    return copying_pooled(self, &like);
}
