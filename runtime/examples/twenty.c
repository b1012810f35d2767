/* SPDX-License-Identifier: MIT
 *
 * What the five pictures share.
 */
#include "twenty.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <weft/weft.h>

#include "http_get.h"
#include "httpd.h"

#define MS_MIN     700
#define MS_MAX     1400
#define PATH_BYTES 64
#define BODY_BYTES 64

static int get(const struct call *call,
               int (*http_get)(int port, const char *path, char *ret_body, size_t body_bytes))
{
    char path[PATH_BYTES], body[BODY_BYTES];
    (void)snprintf(path, sizeof path, "call/%d", call->ms);
    return http_get(call->port, path, body, sizeof body);
}

int call_blocking(void *call)
{
    return get(call, http_get_blocking);
}

int call_waiting(void *call)
{
    return get(call, http_get_waiting);
}

static int draw_calls(int port, struct call calls[TWENTY])
{
    unsigned seed = (unsigned)time(NULL);
    int total_ms = 0;
    for (int i = 0; i < TWENTY; i++) {
        calls[i] =
            (struct call){ .port = port, .ms = MS_MIN + rand_r(&seed) % (MS_MAX - MS_MIN + 1) };
        total_ms += calls[i].ms;
    }
    return total_ms;
}

static bool is_kept(const struct claim *claim, int64_t took_ms, int at_once)
{
    return took_ms >= claim->at_least_ms && took_ms <= claim->at_most_ms &&
           at_once == claim->at_once;
}

static int measure(int port, const struct claim *claim, int (*body)(struct call calls[TWENTY]))
{
    struct call calls[TWENTY];
    char most[BODY_BYTES];
    int total_ms = draw_calls(port, calls);
    int64_t start_ns = weft_now_ns();
    int rc = body(calls);
    int64_t took_ms = (weft_now_ns() - start_ns) / 1000000;
    if (rc >= 0)
        rc = http_get_blocking(port, "most/call", most, sizeof most);
    if (rc < 0) {
        (void)fprintf(stderr, "%s: %s\n", claim->title, weft_strerror(rc));
        return 1;
    }
    int at_once = (int)strtol(most, NULL, 10);
    bool kept = is_kept(claim, took_ms, at_once);
    (void)printf("%s: %d calls of %d ms together took %" PRId64 " ms, %d at once%s\n", claim->title,
                 TWENTY, total_ms, took_ms, at_once, kept ? "" : ": NOT as claimed");
    return kept ? 0 : 1;
}

int twenty_main(int argc, char **argv, const struct claim *claim,
                int (*body)(struct call calls[TWENTY]))
{
    struct httpd httpd;
    int rc = httpd_start(&httpd);
    if (rc >= 0 && argc > 1)
        rc = weft_trace_start(argv[1], 0);
    if (rc < 0) {
        (void)fprintf(stderr, "%s: %s\n", claim->title, weft_strerror(rc));
        return 1;
    }
    int status = measure(httpd.port, claim, body);
    if (argc > 1 && (rc = weft_trace_stop()) < 0)
        (void)fprintf(stderr, "%s: %s: %s\n", claim->title, argv[1], weft_strerror(rc));
    int stopped = httpd_stop(&httpd);
    return status || rc < 0 || stopped < 0 || weft_shutdown() < 0;
}
