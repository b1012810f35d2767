/* SPDX-License-Identifier: MIT
 *
 * usage: weft_mailer [RECIPIENTS]
 *
 * A hundred thousand recipients, a virtual thread each, and a mail library that blocks for a second
 * a mail: libc's own sleep stands for it. All of them wait at once; nothing here says how.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weft/weft.h>

#define RECIPIENTS     100000
#define RECIPIENTS_MAX 1000000

static atomic_long sent;

static int send_mail(void *arg)
{
    (void)arg;
    if (sleep(1) != 0)
        return -EINTR;
    sent++;
    return 0;
}

static int send_all(void *arg)
{
    const long *recipients = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (long i = 0; i < *recipients; i++)
        weft_launch(&scope, weft_virtual(), send_mail, NULL);
    return weft_scope_close(&scope, 0);
}

int main(int argc, char **argv)
{
    long recipients = RECIPIENTS;
    char *end = NULL;
    if (argc > 1)
        recipients = strtol(argv[1], &end, 10);
    if (recipients < 1 || recipients > RECIPIENTS_MAX || (end && *end != '\0')) {
        (void)fprintf(stderr, "usage: weft_mailer [RECIPIENTS, at most %d]\n", RECIPIENTS_MAX);
        return 2;
    }
    int64_t start_ns = weft_now_ns();
    int rc = weft_run(send_all, &recipients);
    int64_t took_ms = (weft_now_ns() - start_ns) / 1000000;
    if (rc < 0 || sent != recipients) {
        (void)fprintf(stderr, "mailer: %s\n", weft_strerror(rc));
        return 1;
    }
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)printf("%ld mails of a second each: %" PRId64 " ms in all, %ld MiB at the most\n",
                 recipients, took_ms, usage.ru_maxrss >> 10);
    return weft_shutdown() < 0;
}
