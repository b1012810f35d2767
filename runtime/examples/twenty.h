/* SPDX-License-Identifier: MIT
 *
 * What the five pictures share: twenty calls of 700 to 1400 ms each over HTTP, and a provider that
 * answers them. Each program makes them in a way of its own, says how long that took, and exits
 * with 1 if that is not what it claims.
 */
#pragma once

#define TWENTY           20
#define TWENTY_ON_TWO_MS 7000  /* two at a time take no less, were they all of the shortest */
#define TWENTY_MS_MAX    60000 /* on a busy machine, too */

struct call {
    int port, ms;
};

/* One call, as a body of a coroutine; `call` is a struct call. */
int call_blocking(void *call); /* connect, write and read as they are */
int call_waiting(void *call);  /* weft_fd_wait() between calls that do not block */

struct claim {
    const char *title;
    int at_least_ms, at_most_ms;
    int at_once; /* the provider never had more; and it had as many */
};

/* The main function of each: starts the provider, runs body(calls) on this plain thread, stops the
 * provider. With an argument the run is recorded into that file. The status to exit with. */
int twenty_main(int argc, char **argv, const struct claim *claim,
                int (*body)(struct call calls[TWENTY]));
