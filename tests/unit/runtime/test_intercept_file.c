/* SPDX-License-Identifier: MIT */
#include "intercepttest.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_BYTES 300000

struct seen {
    char path[64];
    int fd;
    char *bytes;
    ssize_t results[24];
    size_t count;
    int error;
};

static int setup(void **state)
{
    struct seen *seen = calloc(1, sizeof *seen);
    if (!seen)
        return -1;
    (void)snprintf(seen->path, sizeof seen->path, "/tmp/weft-file-XXXXXX");
    seen->fd = mkstemp(seen->path);
    seen->bytes = malloc(FILE_BYTES);
    *state = seen;
    return seen->fd >= 0 && seen->bytes ? 0 : -1;
}

static int teardown(void **state)
{
    struct seen *seen = *state;
    (void)close(seen->fd);
    (void)unlink(seen->path);
    free(seen->bytes);
    free(seen);
    return weft_parking_teardown(state);
}

static void note(struct seen *seen, ssize_t result)
{
    seen->results[seen->count++] = result;
}

/* The whole life of a file, with memory on the stack and on the heap. */
static int use_file(void *arg)
{
    struct seen *seen = arg;
    char small[100];
    memset(small, 's', sizeof small);
    memset(seen->bytes, 'h', FILE_BYTES);
    seen->count = 0;
    note(seen, ftruncate(seen->fd, 0));
    note(seen, lseek(seen->fd, 0, SEEK_SET));
    note(seen, write(seen->fd, small, sizeof small));
    note(seen, write(seen->fd, seen->bytes, FILE_BYTES));
    note(seen, pwrite(seen->fd, "xyz", 3, 10));
    struct iovec out[2] = { { .iov_base = small, .iov_len = 50 },
                            { .iov_base = seen->bytes, .iov_len = 1000 } };
    note(seen, writev(seen->fd, out, 2));
    note(seen, pwritev(seen->fd, out, 2, 200));
    note(seen, fsync(seen->fd));
    note(seen, fdatasync(seen->fd));
    note(seen, lseek(seen->fd, 0, SEEK_SET));
    note(seen, read(seen->fd, small, sizeof small));
    note(seen, small[9] + small[10] * 256);
    note(seen, read(seen->fd, seen->bytes, FILE_BYTES));
    note(seen, read(seen->fd, seen->bytes, FILE_BYTES)); /* less is left */
    note(seen, read(seen->fd, seen->bytes, FILE_BYTES)); /* nothing is left */
    note(seen, pread(seen->fd, small, sizeof small, 11));
    note(seen, small[0] + small[50] * 256);
    struct iovec in[2] = { { .iov_base = small, .iov_len = 60 },
                           { .iov_base = seen->bytes, .iov_len = 1000 } };
    note(seen, preadv(seen->fd, in, 2, 90));
    note(seen, small[0] + seen->bytes[500] * 256);
    note(seen, lseek(seen->fd, -10, SEEK_END));
    note(seen, readv(seen->fd, in, 2));
    note(seen, flock(seen->fd, LOCK_EX));
    note(seen, flock(seen->fd, LOCK_UN));
    note(seen, pread(seen->fd, small, 10, -1) < 0 ? -errno : 0);
    return 0;
}

static void a_file_is_as_on_a_plain_thread(void **state)
{
    struct seen *seen = *state;
    assert_int_equal(use_file(seen), 0);
    struct seen plain = *seen;
    struct stat plain_stat, stat;
    assert_int_equal(fstat(seen->fd, &plain_stat), 0);

    assert_int_equal(run_virtual(use_file, seen), 0);

    assert_int_equal(fstat(seen->fd, &stat), 0);
    assert_int_equal(stat.st_size, plain_stat.st_size);
    assert_int_equal(plain.count, seen->count);
    for (size_t i = 0; i < plain.count; i++)
        assert_int_equal(plain.results[i], seen->results[i]);
}

#define WRITES 9

struct write {
    int fd, how, other_fd, pipe_fd;
    atomic_int *done;
};

static int write_somehow(void *arg)
{
    struct write *w = arg;
    char bytes[10] = "";
    const struct iovec part = { .iov_base = bytes, .iov_len = sizeof bytes };
    int fd = w->fd;
    ssize_t rc = -1;
    switch (w->how) {
    case 0: rc = write(fd, bytes, sizeof bytes); break;
    case 1: rc = pwrite(fd, bytes, sizeof bytes, 0); break;
    case 2: rc = writev(fd, &part, 1); break;
    case 3: rc = pwritev(fd, &part, 1, 0); break;
    case 4: rc = fsync(fd) == 0 ? 10 : -1; break;
    case 5: rc = fdatasync(fd) == 0 ? 10 : -1; break;
    case 6: rc = copy_file_range(fd, &(off_t){ 0 }, w->other_fd, &(off_t){ 0 }, 10, 0); break;
    case 7: rc = sendfile(w->other_fd, fd, &(off_t){ 0 }, 10); break;
    case 8: rc = splice(fd, &(off_t){ 0 }, w->pipe_fd, NULL, 10, 0); break;
    }
    ++*w->done;
    return rc == 10 ? 0 : -EIO;
}

static int write_in_all_ways(void *arg)
{
    struct write *writes = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < WRITES; i++)
        weft_launch(&scope, NULL, write_somehow, &writes[i]);
    return weft_scope_close(&scope, 0);
}

/* In memory: on a disk a call that is not pooled might take just as long. */
static int memory_file(void)
{
    int fd = memfd_create("weft-file", MFD_CLOEXEC);
    assert_int_equal(pwrite(fd, "0123456789", 10, 0), 10);
    return fd;
}

static void what_may_wait_for_the_disk_is_done_on_io(void **state)
{
    (void)state;
    atomic_int done = 0;
    struct write writes[WRITES];
    int fd = memory_file(), other_fd = memory_file(), ends[2];
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < WRITES; i++)
        writes[i] = (struct write){
            .fd = fd, .how = i, .other_fd = other_fd, .pipe_fd = ends[1], .done = &done
        };

    assert_pooled(write_in_all_ways, writes, &done, WRITES);

    (void)close(fd);
    (void)close(other_fd);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

#define READS 4

static int read_somehow(void *arg)
{
    struct write *w = arg; /* here it reads */
    char bytes[10] = "";
    const struct iovec part = { .iov_base = bytes, .iov_len = sizeof bytes };
    ssize_t rc = -1;
    switch (w->how) {
    case 0: rc = read(w->fd, bytes, sizeof bytes); break;
    case 1: rc = pread(w->fd, bytes, sizeof bytes, 0); break;
    case 2: rc = readv(w->fd, &part, 1); break;
    case 3: rc = preadv(w->fd, &part, 1, 0); break;
    }
    ++*w->done;
    return rc == 10 ? 0 : -EIO;
}

static int read_in_all_ways(void *arg)
{
    struct write *reads = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < READS; i++)
        weft_launch(&scope, NULL, read_somehow, &reads[i]);
    return weft_scope_close(&scope, 0);
}

/* A file of the kernel's, of which nobody can say whether reading it takes long. */
static void what_may_have_to_be_fetched_is_read_on_io(void **state)
{
    (void)state;
    atomic_int done = 0;
    struct write reads[READS];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (int i = 0; i < READS; i++)
        reads[i] = (struct write){ .fd = fd, .how = i, .done = &done };

    assert_pooled(read_in_all_ways, reads, &done, READS);

    (void)close(fd);
}

struct locks {
    struct crowd crowd;
    struct seen *seen;
    atomic_int got;
};

static int lock_file(void *arg)
{
    struct locks *locks = arg;
    int fd = open(locks->seen->path, O_RDWR | O_CLOEXEC);
    locks->crowd.inside++;
    if (flock(fd, LOCK_EX) == 0)
        locks->got++;
    return close(fd);
}

static int unlock_file(void *arg)
{
    struct locks *locks = arg;
    if (locks->got != 0)
        return -EIO;
    return flock(locks->seen->fd, LOCK_UN);
}

static void who_waits_for_a_file_lock_keeps_no_thread_of_virtual(void **state)
{
    struct seen *seen = *state;
    struct locks locks = { .seen = seen };
    locks.crowd =
        (struct crowd){ .wait = lock_file, .release = unlock_file, .arg = &locks, .count = CROWD };
    assert_int_equal(flock(seen->fd, LOCK_EX), 0);

    assert_int_equal(crowd_run(&locks.crowd), 0);

    assert_int_equal(locks.got, CROWD);
}

static int range_lock(int fd, int command, short type)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_len = 10 };
    return fcntl(fd, command, &lock);
}

static int lock_range(void *arg)
{
    struct locks *locks = arg;
    int fd = open(locks->seen->path, O_RDWR | O_CLOEXEC);
    locks->crowd.inside++;
    if (range_lock(fd, F_OFD_SETLKW, F_WRLCK) == 0)
        locks->got++;
    return close(fd);
}

static int unlock_range(void *arg)
{
    struct locks *locks = arg;
    if (locks->got != 0)
        return -EIO;
    return range_lock(locks->seen->fd, F_OFD_SETLK, F_UNLCK);
}

static void who_waits_for_a_range_of_a_file_keeps_no_thread_of_virtual(void **state)
{
    struct seen *seen = *state;
    struct locks locks = { .seen = seen };
    locks.crowd = (struct crowd){
        .wait = lock_range,
        .release = unlock_range,
        .arg = &locks,
        .count = CROWD,
    };
    assert_int_equal(range_lock(seen->fd, F_OFD_SETLK, F_WRLCK), 0);

    assert_int_equal(crowd_run(&locks.crowd), 0);

    assert_int_equal(locks.got, CROWD);
}

struct terminal {
    struct crowd crowd;
    int master, slave;
    atomic_int lines;
};

static int read_line(void *arg)
{
    struct terminal *terminal = arg;
    char line[16] = "";
    terminal->crowd.inside++;
    ssize_t got = read(terminal->slave, line, sizeof line);
    if (got == 3 && memcmp(line, "ok\n", 3) == 0)
        terminal->lines++;
    return 0;
}

static int type_lines(void *arg)
{
    struct terminal *terminal = arg;
    for (int i = 0; i < CROWD; i++) {
        if (write(terminal->master, "ok\n", 3) != 3)
            return -EIO;
    }
    return 0;
}

static void readers_of_a_terminal_keep_no_thread_of_virtual(void **state)
{
    (void)state;
    struct terminal terminal = { .master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC) };
    assert_true(terminal.master >= 0);
    assert_int_equal(grantpt(terminal.master), 0);
    assert_int_equal(unlockpt(terminal.master), 0);
    terminal.slave = open(ptsname(terminal.master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal.slave >= 0);
    terminal.crowd = (struct crowd){
        .wait = read_line,
        .release = type_lines,
        .arg = &terminal,
        .count = CROWD,
    };

    assert_int_equal(crowd_run(&terminal.crowd), 0);

    assert_int_equal(terminal.lines, CROWD);
    (void)close(terminal.slave);
    (void)close(terminal.master);
}

#define file_unit_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        file_unit_test(a_file_is_as_on_a_plain_thread),
        file_unit_test(what_may_wait_for_the_disk_is_done_on_io),
        file_unit_test(what_may_have_to_be_fetched_is_read_on_io),
        file_unit_test(who_waits_for_a_file_lock_keeps_no_thread_of_virtual),
        file_unit_test(who_waits_for_a_range_of_a_file_keeps_no_thread_of_virtual),
        parking_unit_test(readers_of_a_terminal_keep_no_thread_of_virtual),
    };
    return berth_test_main(tests, NULL, NULL);
}
