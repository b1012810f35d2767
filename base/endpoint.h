/* SPDX-License-Identifier: MIT
 *
 * Addresses that a person writes: tcp://HOST:PORT, ipc://PATH, and ADDR:PORT for HTTP. Pure:
 * nothing is resolved.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <berth/error.h>

#define BERTH_HOST_BYTES_MAX 255 /* RFC 1035, section 2.3.4 */
#define BERTH_PATH_BYTES_MAX 107 /* sun_path of unix(7), without its NUL */

enum berth_endpoint_kind { BERTH_ENDPOINT_TCP = 1, BERTH_ENDPOINT_IPC };

struct berth_endpoint {
    enum berth_endpoint_kind kind;
    char host[BERTH_HOST_BYTES_MAX + 1]; /* tcp: without the brackets of an IPv6 address */
    uint16_t port;                       /* tcp: 1 .. 65535 */
    char path[BERTH_PATH_BYTES_MAX + 1]; /* ipc */
};

/* Takes an URL apart, or refuses it with BERTH_EVALUE and a sentence; `what` names the option. HOST
 * is a name, an IPv4 address or an IPv6 address in brackets. */
int berth_endpoint_parse(const char *what, const char *url, struct berth_endpoint *ret_endpoint,
                         struct berth_error *err);

/* The same for ADDR:PORT. */
int berth_endpoint_parse_address(const char *what, const char *text,
                                 struct berth_endpoint *ret_endpoint, struct berth_error *err);

/* Whether only this machine can reach it: ipc, 127.0.0.0/8, ::1 and localhost. */
bool berth_endpoint_is_loopback(const struct berth_endpoint *endpoint);
