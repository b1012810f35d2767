/* SPDX-License-Identifier: MIT
 *
 * Test runs and what they say on stderr.
 */
#pragma once

#include "wefttest.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <weft/test.h>

#define OUTPUT_BYTES 16384

struct capture {
    int kept_fd, file_fd;
    char text[OUTPUT_BYTES];
};

static inline void capture_begin(struct capture *capture)
{
    (void)fflush(stderr);
    capture->kept_fd = dup(STDERR_FILENO);
    capture->file_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(capture->kept_fd >= 0);
    assert_true(capture->file_fd >= 0);
    assert_true(dup2(capture->file_fd, STDERR_FILENO) >= 0);
}

static inline const char *capture_end(struct capture *capture)
{
    (void)fflush(stderr);
    assert_true(dup2(capture->kept_fd, STDERR_FILENO) >= 0);
    ssize_t got = pread(capture->file_fd, capture->text, OUTPUT_BYTES - 1, 0);
    assert_true(got >= 0);
    capture->text[got] = '\0';
    (void)close(capture->kept_fd);
    (void)close(capture->file_fd);
    return capture->text;
}

/* Runs it with stderr aside: the result, and what it said. */
static inline int run_captured(uint64_t seed, weft_fn fn, void *arg, struct capture *capture)
{
    capture_begin(capture);
    int rc = weft_test_run(seed, fn, arg);
    (void)capture_end(capture);
    return rc;
}

#define assert_says(capture, wanted)                                                               \
    do {                                                                                           \
        if (!strstr((capture).text, (wanted)))                                                     \
            print_error("stderr was: %s\n", (capture).text);                                       \
        assert_non_null(strstr((capture).text, (wanted)));                                         \
    } while (0)
