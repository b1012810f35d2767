/* SPDX-License-Identifier: MIT
 *
 * usage: weft_newsletter [NEWSLETTERS [SIGN_UPS]]
 *
 * Two kinds of mail through one blocking API of 700 to 1400 ms a call: a newsletter that may wait,
 * five at a time, and the mails of people who are signing up, fifty at a time. Each has a view of
 * its own, so a long newsletter never keeps anybody from signing up, and neither takes more threads
 * than it was given. Says how long each took; exits with 1 if the provider ever had more at once.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/weft.h>

#include "http_get.h"
#include "httpd.h"

#define NEWSLETTERS      50
#define NEWSLETTER_LIMIT 5
#define SIGN_UPS         500
#define SIGN_UP_LIMIT    50
#define MAILS_MAX        10000
#define MS_MIN           700
#define MS_MAX           1400

struct mailing {
    const char *kind;
    int port, limit;
    long count;
    int64_t took_ms;
};

static int send_mail(void *arg)
{
    const struct mailing *mailing = arg;
    char path[64], answer[64];
    unsigned seed = (unsigned)weft_now_ns();
    int ms = MS_MIN + rand_r(&seed) % (MS_MAX - MS_MIN + 1);
    (void)snprintf(path, sizeof path, "%s/%d", mailing->kind, ms);
    return http_get_blocking(mailing->port, path, answer, sizeof answer); /* blocks its thread */
}

static int send_all(void *arg)
{
    struct mailing *mailing = arg;
    struct weft_dispatcher *view;
    int64_t start_ns = weft_now_ns();
    int rc = weft_view_independent(mailing->limit, mailing->kind, &view);
    if (rc < 0)
        return rc;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (long i = 0; i < mailing->count; i++)
        weft_launch(&scope, view, send_mail, mailing);
    rc = weft_scope_close(&scope, 0);
    mailing->took_ms = (weft_now_ns() - start_ns) / 1000000;
    return rc;
}

static int send_both(void *arg)
{
    struct mailing *mailings = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    weft_launch(&scope, NULL, send_all, &mailings[0]);
    weft_launch(&scope, NULL, send_all, &mailings[1]);
    return weft_scope_close(&scope, 0);
}

static int report(const struct mailing *mailing)
{
    char path[64], most[64];
    (void)snprintf(path, sizeof path, "most/%s", mailing->kind);
    int rc = http_get_blocking(mailing->port, path, most, sizeof most);
    if (rc < 0)
        return rc;
    long at_once = strtol(most, NULL, 10);
    (void)printf("%s: %ld mails in %" PRId64 " ms, %ld at once of %d allowed\n", mailing->kind,
                 mailing->count, mailing->took_ms, at_once, mailing->limit);
    return at_once <= mailing->limit ? 0 : -ERANGE;
}

static long number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 1 || value > MAILS_MAX) {
        (void)fprintf(stderr, "'%s' is not a number from 1 to %d\n", text, MAILS_MAX);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    struct httpd httpd;
    struct mailing mailings[] = {
        { .kind = "newsletter", .limit = NEWSLETTER_LIMIT, .count = NEWSLETTERS },
        { .kind = "auth", .limit = SIGN_UP_LIMIT, .count = SIGN_UPS },
    };
    if (argc > 1)
        mailings[0].count = number(argv[1]);
    if (argc > 2)
        mailings[1].count = number(argv[2]);
    int rc = httpd_start(&httpd);
    if (rc == 0) {
        mailings[0].port = mailings[1].port = httpd.port;
        rc = weft_run(send_both, mailings);
        for (int i = 0; i < 2 && rc >= 0; i++)
            rc = report(&mailings[i]);
        int stopped = httpd_stop(&httpd);
        rc = rc < 0 ? rc : stopped;
    }
    if (rc < 0)
        (void)fprintf(stderr, "newsletter: %s\n", weft_strerror(rc));
    return rc < 0 || weft_shutdown() < 0;
}
