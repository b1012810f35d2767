/* SPDX-License-Identifier: MIT
 *
 * Reading addresses.
 */
#include "base/endpoint.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"

#define TCP_SCHEME  "tcp://"
#define IPC_SCHEME  "ipc://"
#define SHOWN_MAX   120
#define URL_WANTED  "tcp://HOST:PORT or ipc://PATH"
#define ADDR_WANTED "ADDR:PORT"

static bool is_host_name(const char *host)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    return host[0] != '\0' && host[0] != '-' && host[0] != '.' &&
           host[strspn(host, allowed)] == '\0';
}

static bool is_ipv6(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET6, host, &address) == 1;
}

/* Copies `bytes` of `text`; false if there is no room. */
static bool copy_part(char *to, size_t room, const char *text, size_t bytes)
{
    if (bytes >= room)
        return false;
    memcpy(to, text, bytes);
    to[bytes] = '\0';
    return true;
}

/* HOST:PORT or [IPV6]:PORT. */
static bool host_port_parse(const char *text, struct berth_endpoint *endpoint)
{
    const char *colon = strrchr(text, ':');
    if (!colon)
        return false;
    uint64_t port;
    if (berth_u64_parse("port", colon + 1, 1, UINT16_MAX, &port, NULL) < 0)
        return false;
    endpoint->port = (uint16_t)port;

    size_t bytes = (size_t)(colon - text);
    bool is_bracketed = bytes > 2 && text[0] == '[' && text[bytes - 1] == ']';
    if (is_bracketed)
        return copy_part(endpoint->host, sizeof endpoint->host, text + 1, bytes - 2) &&
               is_ipv6(endpoint->host);
    return copy_part(endpoint->host, sizeof endpoint->host, text, bytes) &&
           is_host_name(endpoint->host);
}

static bool url_parse(const char *url, struct berth_endpoint *endpoint)
{
    if (strncmp(url, TCP_SCHEME, sizeof TCP_SCHEME - 1) == 0) {
        endpoint->kind = BERTH_ENDPOINT_TCP;
        return host_port_parse(url + sizeof TCP_SCHEME - 1, endpoint);
    }
    if (strncmp(url, IPC_SCHEME, sizeof IPC_SCHEME - 1) == 0) {
        const char *path = url + sizeof IPC_SCHEME - 1;
        endpoint->kind = BERTH_ENDPOINT_IPC;
        return path[0] != '\0' &&
               copy_part(endpoint->path, sizeof endpoint->path, path, strlen(path));
    }
    return false;
}

int berth_endpoint_parse(const char *what, const char *url, struct berth_endpoint *ret_endpoint,
                         struct berth_error *err)
{
    struct berth_endpoint endpoint = { .kind = BERTH_ENDPOINT_TCP };
    if (!url_parse(url, &endpoint))
        return berth_fail(err, BERTH_EVALUE,
                          "%s: '%.*s' is not an address; " URL_WANTED
                          " is wanted (a port from 1 to 65535, a path of at most %d bytes)",
                          what, SHOWN_MAX, url, BERTH_PATH_BYTES_MAX);
    *ret_endpoint = endpoint;
    return 0;
}

int berth_endpoint_parse_address(const char *what, const char *text,
                                 struct berth_endpoint *ret_endpoint, struct berth_error *err)
{
    struct berth_endpoint endpoint = { .kind = BERTH_ENDPOINT_TCP };
    if (!host_port_parse(text, &endpoint))
        return berth_fail(err, BERTH_EVALUE,
                          "%s: '%.*s' is not an address; " ADDR_WANTED
                          " is wanted, with a port from 1 to 65535",
                          what, SHOWN_MAX, text);
    *ret_endpoint = endpoint;
    return 0;
}

bool berth_endpoint_is_loopback(const struct berth_endpoint *endpoint)
{
    if (endpoint->kind == BERTH_ENDPOINT_IPC)
        return true;
    struct in_addr v4;
    if (inet_pton(AF_INET, endpoint->host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    struct in6_addr v6;
    if (inet_pton(AF_INET6, endpoint->host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6) != 0;
    return strcmp(endpoint->host, "localhost") == 0;
}
