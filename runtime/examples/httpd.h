/* SPDX-License-Identifier: MIT
 *
 * A provider on the other side of a network, for the examples: HTTP on loopback, in a process of
 * its own, so that what it does is in nobody's picture. It takes its time over each answer, and
 * counts for itself how many requests of a kind it ever had at once.
 *
 *     GET /KIND/MS      200 after MS milliseconds; KIND: call, newsletter, auth
 *     GET /most/KIND    how many of that kind there ever were at once
 */
#pragma once

#include <sys/types.h>

struct httpd {
    int port;
    int stop_fd; /* it lives until this is closed, by us or by our end */
    pid_t pid;
};

/* Starts one on a free port: call it before weft's first use, for it forks. 0 or -errno. */
int httpd_start(struct httpd *ret_httpd);

/* Ends it and waits for it. 0, or -EIO: it had failed. */
int httpd_stop(struct httpd *httpd);
