/* SPDX-License-Identifier: MIT */
#include "fdtest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the fortified names do, without having to compile so. */
ssize_t __read_chk(int fd, void *bytes, size_t count, size_t room);

enum way { READ, READ_CHK, READV, WAY_COUNT };

struct ends {
    int read_fd, write_fd;
    enum way way;
    struct crowd crowd;
    atomic_int bytes, bad;
};

static ssize_t take(enum way way, int fd, void *bytes, size_t count)
{
    struct iovec parts[2] = { { .iov_base = bytes, .iov_len = 1 },
                              { .iov_base = (char *)bytes + 1, .iov_len = count - 1 } };
    switch (way) {
    case READ: return read(fd, bytes, count);
    case READ_CHK: return __read_chk(fd, bytes, count, count);
    case READV: return readv(fd, parts, 2);
    case WAY_COUNT: break;
    }
    return -1;
}

static int reader(void *arg)
{
    struct ends *ends = arg;
    char bytes[8];
    ends->crowd.inside++;
    errno = ERANGE;
    ssize_t got = take(ends->way, ends->read_fd, bytes, sizeof bytes);
    if (got != sizeof bytes || errno != ERANGE)
        ends->bad++;
    ends->bytes += (int)(got > 0 ? got : 0);
    return 0;
}

static int writer(void *arg)
{
    struct ends *ends = arg;
    uint64_t one = 1;
    for (int i = 0; i < CROWD; i++) {
        if (write(ends->write_fd, &one, sizeof one) != sizeof one)
            ends->bad++;
    }
    return 0;
}

static void readers_wait_together_for_one_writer(void **state)
{
    (void)state;
    for (enum sort sort = PIPE; sort < SORT_COUNT; sort++) {
        for (enum way way = READ; way < WAY_COUNT; way++) {
            int fds[2];
            assert_int_equal(open_ends(sort, fds), 0);
            struct ends ends = { .read_fd = fds[0], .write_fd = fds[1], .way = way };
            ends.crowd =
                (struct crowd){ .wait = reader, .release = writer, .arg = &ends, .count = CROWD };

            assert_int_equal(crowd_run(&ends.crowd), 0);

            assert_int_equal(ends.bad, 0);
            assert_int_equal(ends.bytes, CROWD * 8);
            close_ends(fds);
        }
    }
}

/* More than any buffer of the kernel's takes at once: it goes out in steps, and in one call. */
#define MUCH_BYTES ((size_t)4 << 20)

struct stream {
    int read_fd, write_fd;
    char *out, *in;
    ssize_t written, got;
    int parts;
};

static int write_much(void *arg)
{
    struct stream *s = arg;
    struct iovec parts[3] = { { .iov_base = s->out, .iov_len = 1000 },
                              { .iov_base = s->out + 1000, .iov_len = MUCH_BYTES / 2 },
                              { .iov_base = s->out + 1000 + MUCH_BYTES / 2,
                                .iov_len = MUCH_BYTES / 2 - 1000 } };
    s->written =
        s->parts > 1 ? writev(s->write_fd, parts, 3) : write(s->write_fd, s->out, MUCH_BYTES);
    return close(s->write_fd);
}

static int read_much(void *arg)
{
    struct stream *s = arg;
    for (ssize_t got; (got = read(s->read_fd, s->in + s->got, MUCH_BYTES - (size_t)s->got)) > 0;)
        s->got += got;
    return 0;
}

static int both(void *arg)
{
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, write_much, arg);
    weft_launch(&scope, NULL, read_much, arg);
    return weft_scope_close(&scope, 0);
}

static void writing_on_a_blocking_stream_writes_everything(void **state)
{
    (void)state;
    for (int parts = 1; parts <= 3; parts += 2) {
        for (enum sort sort = PIPE; sort <= STREAM; sort++) {
            int fds[2] = { -1, -1 };
            assert_int_equal(open_ends(sort, fds), 0);
            struct stream s = { .read_fd = fds[0], .write_fd = fds[1], .parts = parts };
            s.out = malloc(MUCH_BYTES);
            s.in = calloc(1, MUCH_BYTES);
            assert_non_null(s.out);
            assert_non_null(s.in);
            for (size_t i = 0; i < MUCH_BYTES; i++)
                s.out[i] = (char)(i * 7 + i / 4096);

            assert_int_equal(run_virtual(both, &s), 0);

            assert_int_equal(s.written, MUCH_BYTES);
            assert_int_equal(s.got, MUCH_BYTES);
            assert_int_equal(memcmp(s.in, s.out, MUCH_BYTES), 0);
            free(s.in);
            free(s.out);
            (void)close(fds[0]);
        }
    }
}

#define OUTCOME_COUNT 14

/* Calls that need not wait. */
static int odd_calls(void *arg)
{
    struct outcome *o = arg;
    char bytes[4];
    int pipe_fds[2], pair[2], quiet[2];
    if (pipe(pipe_fds) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ||
        pipe2(quiet, O_NONBLOCK) < 0)
        return -errno;
    const struct iovec part = { .iov_base = bytes, .iov_len = 1 };
    volatile int too_few = -1; /* the compiler sees that it cannot be */
    int i = 0;
    o[i++] = outcome_of(read(-1, bytes, 1));
    o[i++] = outcome_of(read(1000000, bytes, 1));
    o[i++] = outcome_of(write(pipe_fds[0], bytes, 1)); /* the reading end */
    o[i++] = outcome_of(read(pipe_fds[0], bytes, 0));
    o[i++] = outcome_of(read(pair[0], bytes, 0));
    o[i++] = outcome_of(write(pipe_fds[1], bytes, 0));
    o[i++] = outcome_of(read(quiet[0], bytes, 1)); /* his own EAGAIN */
    o[i++] = outcome_of(readv(pair[0], NULL, 0));
    o[i++] = outcome_of(readv(pair[0], &part, too_few));
    (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
    o[i++] = outcome_of(read(pair[0], bytes, 1));
    (void)fcntl(pair[0], F_SETFL, 0);
    o[i++] = outcome_of(pread(pipe_fds[0], bytes, 1, 0));
    (void)close(pipe_fds[1]);
    (void)close(pair[1]);
    o[i++] = outcome_of(read(pipe_fds[0], bytes, sizeof bytes)); /* the end */
    o[i++] = outcome_of(read(pair[0], bytes, sizeof bytes));
    o[i++] = outcome_of(write(pair[0], bytes, sizeof bytes)); /* EPIPE */
    (void)close(pipe_fds[0]);
    (void)close(pair[0]);
    close_ends(quiet);
    return i;
}

static void what_does_not_wait_is_as_on_a_plain_thread(void **state)
{
    (void)state;
    struct outcome plain[OUTCOME_COUNT] = { { 0 } }, parked[OUTCOME_COUNT] = { { 0 } };
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    assert_int_equal(odd_calls(plain), OUTCOME_COUNT);

    assert_int_equal(run_virtual(odd_calls, parked), OUTCOME_COUNT);

    (void)signal(SIGPIPE, before);
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        assert_int_equal(plain[i].rc, parked[i].rc);
        assert_int_equal(plain[i].error, parked[i].error);
    }
    assert_int_equal(parked[6].error, EAGAIN);
    assert_int_equal(parked[9].error, EAGAIN);
    assert_int_equal(parked[13].error, EPIPE);
}

static int read_with_timeout(void *arg)
{
    struct parked *p = arg;
    char byte;
    int64_t before_ns = weft_now_ns();
    p->rc = read(p->fd, &byte, 1);
    p->error = errno;
    return (int)((weft_now_ns() - before_ns) / 1000000);
}

static void the_time_out_of_a_socket_is_kept(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(open_ends(STREAM, fds), 0);
    struct timeval timeout = { .tv_usec = 30000 };
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    struct parked p = { .fd = fds[0] };

    int took_ms = run_virtual(read_with_timeout, &p);

    assert_int_equal(p.rc, -1);
    assert_int_equal(p.error, EAGAIN);
    assert_true(took_ms >= 30);
    close_ends(fds);
}

/* After a read that got less than it asked for the next one parks at once: what came in between,
 * the end among it, must not be missed. */
static int read_after_short(void *arg)
{
    struct outcome *o = arg;
    char bytes[16];
    int pair[2];
    for (int i = 0; i < 64; i++) { /* past the times when it is tried all the same */
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
            return -errno;
        ssize_t sum = write(pair[1], "one", 3) + read(pair[0], bytes, sizeof bytes);
        sum += write(pair[1], "three", 5) + read(pair[0], bytes, sizeof bytes);
        (void)close(pair[1]);
        o[0].rc += sum;
        o[1].rc += read(pair[0], bytes, sizeof bytes);
        (void)close(pair[0]);
    }
    return 0;
}

static void a_short_read_hides_neither_what_follows_nor_the_end(void **state)
{
    (void)state;
    struct outcome o[2] = { { 0 } };

    assert_int_equal(run_virtual(read_after_short, o), 0);

    assert_int_equal(o[0].rc, 64 * 16);
    assert_int_equal(o[1].rc, 0);
}

/* A number that means another kind of descriptor all of a sudden. */
static void nonblock_stays_as_its_owner_set_it(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(open_ends(STREAM, fds), 0);
    struct ends ends = { .read_fd = fds[0], .write_fd = fds[1], .way = READ };
    ends.crowd = (struct crowd){ .wait = reader, .release = writer, .arg = &ends, .count = CROWD };

    assert_int_equal(crowd_run(&ends.crowd), 0);

    assert_int_equal(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
    close_ends(fds);
}

struct timers {
    struct nappers nappers;
    int64_t ms;
};

static int read_timer(void *arg)
{
    struct timers *timers = arg;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec when = { .it_value.tv_sec = timers->ms / 1000,
                               .it_value.tv_nsec = timers->ms % 1000 * 1000000 };
    uint64_t count = 0;
    if (fd < 0 || timerfd_settime(fd, 0, &when, NULL) < 0)
        return -errno;
    napper_enter(&timers->nappers);
    ssize_t got = read(fd, &count, sizeof count);
    napper_leave(&timers->nappers);
    (void)close(fd);
    return got == sizeof count && count == 1 ? 0 : -EIO;
}

static void timers_of_the_kernel_are_awaited_together(void **state)
{
    (void)state;
    struct timers timers = { .nappers.count = 10 * CROWD };
    struct crowd crowd = { .wait = read_timer, .arg = &timers, .count = timers.nappers.count };

    for (timers.ms = 50; timers.ms > 0; timers.ms = longer_nap(&timers.nappers, timers.ms))
        assert_int_equal(crowd_run(&crowd), 0);

    assert_true(timers.nappers.were_together);
}

static int read_without_end(void *arg)
{
    struct parked *p = arg;
    char byte;
    p->is_inside = true;
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    int pair[2];
    if (fd < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
        return -errno;
    do { /* there is always something to read: it never parks of itself */
        (void)send(pair[1], "x", 1, MSG_DONTWAIT);
        p->rc = read(pair[0], &byte, 1);
        p->error = errno;
    } while (p->rc == 1);
    (void)close(fd);
    close_ends(pair);
    return 0;
}

static int cancel_busy(void *arg)
{
    struct parked *p = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 1; i < CROWD; i++)
        weft_launch(&scope, NULL, read_without_end, &((struct parked *)arg)[i]);
    weft_launch(&scope, NULL, read_without_end, p);
    bool is_inside = test_await(&p->is_inside);
    weft_scope_cancel_children(&scope);
    return weft_scope_close(&scope, is_inside ? 0 : -ETIMEDOUT);
}

static void who_never_has_to_wait_lets_others_run_and_hears_of_cancelling(void **state)
{
    (void)state;
    struct parked busy[CROWD] = { { .fd = -1 } };

    assert_int_equal(run_virtual(cancel_busy, busy), 0);

    for (int i = 0; i < CROWD; i++) {
        if (busy[i].is_inside) /* the others were cancelled before they began */
            assert_int_equal(busy[i].error, ECANCELED);
    }
}

struct handed {
    int fds[2];
    int number; /* no atomic: the descriptor orders it */
    atomic_bool is_inside;
};

static void *hand_over(void *arg)
{
    struct handed *handed = arg;
    uint64_t one = 1;
    if (!test_block_until(&handed->is_inside))
        return NULL;
    handed->number = 42;
    ssize_t written = write(handed->fds[1], &one, sizeof one);
    return written == sizeof one ? arg : NULL;
}

static int take_over(void *arg)
{
    struct handed *handed = arg;
    uint64_t one;
    handed->is_inside = true;
    return read(handed->fds[0], &one, sizeof one) == sizeof one ? handed->number : -errno;
}

/* ThreadSanitizer would report it if a wrapper hid one of the two calls. */
static void what_a_plain_thread_did_before_it_wrote_is_done_when_a_coroutine_has_read(void **state)
{
    (void)state;
    for (enum sort sort = PIPE; sort < SORT_COUNT; sort++) {
        struct handed handed = { .number = 0 };
        pthread_t thread;
        void *is_good = NULL;
        assert_int_equal(open_ends(sort, handed.fds), 0);
        assert_int_equal(pthread_create(&thread, NULL, hand_over, &handed), 0);

        assert_int_equal(run_virtual(take_over, &handed), 42);

        assert_int_equal(pthread_join(thread, &is_good), 0);
        assert_non_null(is_good);
        close_ends(handed.fds);
    }
}

static int write_to_nobody(void *arg)
{
    int fds[2];
    (void)arg;
    if (pipe(fds) < 0)
        return -errno;
    (void)close(fds[0]);
    return write(fds[1], "x", 1) < 0 ? -errno : 0;
}

static int sigpipe(void *arg)
{
    return run_virtual(write_to_nobody, arg);
}

static void writing_to_nobody_ends_a_program_that_does_not_ignore_it(void **state)
{
    (void)state;
    assert_dies_of(SIGPIPE, sigpipe, NULL, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        parking_unit_test(readers_wait_together_for_one_writer),
        parking_unit_test(writing_on_a_blocking_stream_writes_everything),
        parking_unit_test(what_does_not_wait_is_as_on_a_plain_thread),
        parking_unit_test(the_time_out_of_a_socket_is_kept),
        parking_unit_test(a_short_read_hides_neither_what_follows_nor_the_end),
        parking_unit_test(nonblock_stays_as_its_owner_set_it),
        parking_unit_test(timers_of_the_kernel_are_awaited_together),
        parking_unit_test(
            what_a_plain_thread_did_before_it_wrote_is_done_when_a_coroutine_has_read),
        parking_unit_test(writing_to_nobody_ends_a_program_that_does_not_ignore_it),
        parking_unit_test(who_never_has_to_wait_lets_others_run_and_hears_of_cancelling),
    };
    return berth_test_main(tests, NULL, NULL);
}
