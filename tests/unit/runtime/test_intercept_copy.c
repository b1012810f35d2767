/* SPDX-License-Identifier: MIT */
#include "intercepttest.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define BYTES 50000
/* Four pipes and sockets full of it block a writer. */
#define MUCH_BYTES ((size_t)1 << 20)

struct files {
    int from, to;
    ssize_t results[24];
    size_t count;
};

static int temporary(size_t bytes)
{
    char path[] = "/tmp/weft-copy-XXXXXX";
    int fd = mkstemp(path);
    (void)unlink(path);
    return fd >= 0 && ftruncate(fd, (off_t)bytes) == 0 ? fd : -1;
}

static void note(struct files *files, ssize_t result)
{
    files->results[files->count++] = result < 0 ? -errno : result;
}

static int copy(void *arg)
{
    struct files *files = arg;
    off_t offset = 1000;
    off64_t in = 2000, out = 3000;
    int pipe_fds[2];
    files->count = 0;
    if (pipe(pipe_fds) < 0)
        return -errno;
    note(files, lseek(files->from, 0, SEEK_SET) + lseek(files->to, 0, SEEK_SET));
    note(files, sendfile(files->to, files->from, &offset, BYTES));
    note(files, offset);
    note(files, sendfile(files->to, files->from, NULL, 100));
    note(files, lseek(files->from, 0, SEEK_CUR));
    note(files, copy_file_range(files->from, &in, files->to, &out, 500, 0));
    note(files, in + out);
    note(files, splice(files->from, &in, pipe_fds[1], NULL, 300, 0));
    note(files, splice(pipe_fds[0], NULL, files->to, &out, 300, 0));
    note(files, in + out);
    note(files, lseek(files->from, 10, SEEK_SET));
    note(files, sendfile(pipe_fds[1], files->from, NULL, 1000));
    note(files, lseek(files->from, 0, SEEK_CUR));
    offset = BYTES - 10;
    note(files, sendfile(pipe_fds[1], files->from, &offset, 1000)); /* the end of the file */
    note(files, offset);
    note(files, sendfile(-1, files->from, NULL, 1));
    note(files, splice(files->from, NULL, files->to, NULL, 1, 0)); /* none of them is a pipe */
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    return 0;
}

static void copies_are_as_on_a_plain_thread(void **state)
{
    (void)state;
    struct files files = { .from = temporary(BYTES), .to = temporary(0) };
    assert_true(files.from >= 0 && files.to >= 0);
    assert_int_equal(copy(&files), 0);
    struct files plain = files;

    assert_int_equal(run_virtual(copy, &files), 0);

    assert_int_equal(plain.count, files.count);
    for (size_t i = 0; i < plain.count; i++)
        assert_int_equal(plain.results[i], files.results[i]);
    (void)close(files.from);
    (void)close(files.to);
}

/* The two threads of virtual could hold two of them. */
struct senders {
    struct crowd crowd;
    int from, pairs[CROWD][2];
    atomic_int next, good;
};

static int send_much(void *arg)
{
    struct senders *senders = arg;
    int i = senders->next++;
    off_t offset = 0;
    senders->crowd.inside++;
    if (sendfile(senders->pairs[i][0], senders->from, &offset, MUCH_BYTES) == (ssize_t)MUCH_BYTES)
        senders->good++;
    return close(senders->pairs[i][0]);
}

static int receive_all(void *arg)
{
    struct senders *senders = arg;
    char *bytes = malloc(MUCH_BYTES);
    for (int i = 0; i < CROWD && bytes; i++) {
        while (read(senders->pairs[i][1], bytes, MUCH_BYTES) > 0) {
        }
        (void)close(senders->pairs[i][1]);
    }
    free(bytes);
    return 0;
}

static void who_sends_a_file_keeps_no_thread_of_virtual(void **state)
{
    (void)state;
    struct senders senders = { .from = temporary(MUCH_BYTES) };
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, senders.pairs[i]), 0);
    senders.crowd = (struct crowd){
        .wait = send_much,
        .release = receive_all,
        .arg = &senders,
        .count = CROWD,
    };

    assert_int_equal(crowd_run(&senders.crowd), 0);

    assert_int_equal(senders.good, CROWD);
    (void)close(senders.from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        parking_unit_test(copies_are_as_on_a_plain_thread),
        parking_unit_test(who_sends_a_file_keeps_no_thread_of_virtual),
    };
    return berth_test_main(tests, NULL, NULL);
}
