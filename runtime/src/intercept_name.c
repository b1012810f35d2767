/* SPDX-License-Identifier: MIT
 *
 * Names of hosts: getaddrinfo, getnameinfo, and the gethostby... family, on a thread of the pool.
 *
 * Looking a name up reads files, asks servers and sleeps, all inside libc. The other thread gets
 * copies of the arguments and writes into memory of its own: the coroutine's stack may have been
 * copied away meanwhile. Deaf to cancelling; the resolver's own time-outs end it.
 */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "intercept.h"
#include "tree.h"

#define NAME_BYTES_MAX 1025 /* NI_MAXHOST */
#define ADDR_BYTES_MAX 64   /* of gethostbyaddr(): an IPv6 address has 16 */

WEFT_NEXT(int, getaddrinfo, const char *, const char *, const struct addrinfo *, struct addrinfo **)
WEFT_NEXT(int, getnameinfo, const struct sockaddr *, socklen_t, char *, socklen_t, char *,
          socklen_t, int)
WEFT_NEXT(struct hostent *, gethostbyname, const char *)
WEFT_NEXT(struct hostent *, gethostbyname2, const char *, int)
WEFT_NEXT(struct hostent *, gethostbyaddr, const void *, socklen_t, int)
WEFT_NEXT(int, gethostbyname_r, const char *, struct hostent *, char *, size_t, struct hostent **,
          int *)
WEFT_NEXT(int, gethostbyname2_r, const char *, int, struct hostent *, char *, size_t,
          struct hostent **, int *)
WEFT_NEXT(int, gethostbyaddr_r, const void *, socklen_t, int, struct hostent *, char *, size_t,
          struct hostent **, int *)

extern const char weft_draws_name;
const char weft_draws_name = 1;

/* On its own, so that its address is not the one of before the wait. */
static __attribute__((noinline)) void set_h_errno(int number)
{
    __asm__ volatile("" ::: "memory");
    h_errno = number;
}

static __attribute__((noinline)) void set_errno(int number)
{
    __asm__ volatile("" ::: "memory");
    errno = number;
}

/* ---- getaddrinfo ----------------------------------------------------------------------------- */

struct addr_query {
    char *node, *service;
    const struct addrinfo *hints; /* NULL, or the copy */
    struct addrinfo hints_copy;
    struct addrinfo *found;
    int rc, error;
};

static void addr_query_run(void *arg)
{
    struct addr_query *q = arg;
    errno = 0;
    q->rc = next_getaddrinfo()(q->node, q->service, q->hints, &q->found);
    q->error = errno;
}

static bool copy_text(const char *text, char **ret_copy)
{
    *ret_copy = text ? strdup(text) : NULL;
    return !text || *ret_copy;
}

static int addr_query(struct weft_task *self, struct addr_query *q, const char *node,
                      const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
    if (!copy_text(node, &q->node) || !copy_text(service, &q->service))
        return EAI_MEMORY;
    if (hints) {
        q->hints_copy = *hints;
        q->hints = &q->hints_copy;
    }
    if (weft_call_pooled(self, "getaddrinfo", addr_query_run, q) < 0)
        return EAI_MEMORY;
    if (q->rc == 0)
        *ret = q->found;
    return q->rc;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_getaddrinfo()(node, service, hints, ret);
    struct addr_query *q = calloc(1, sizeof *q);
    int rc = q ? addr_query(self, q, node, service, hints, ret) : EAI_MEMORY;
    int error = q ? q->error : 0;
    if (q) {
        free(q->node);
        free(q->service);
    }
    free(q);
    (void)weft_call_leave(self, 0);
    if (rc == EAI_SYSTEM)
        set_errno(error);
    return rc;
}

/* ---- getnameinfo ----------------------------------------------------------------------------- */

struct name_query {
    struct sockaddr_storage address;
    socklen_t address_bytes, host_bytes, service_bytes;
    int flags, rc, error;
    char host[NAME_BYTES_MAX], service[NAME_BYTES_MAX];
};

static void name_query_run(void *arg)
{
    struct name_query *q = arg;
    errno = 0;
    q->rc = next_getnameinfo()(
        (const struct sockaddr *)&q->address, q->address_bytes, q->host_bytes > 0 ? q->host : NULL,
        q->host_bytes, q->service_bytes > 0 ? q->service : NULL, q->service_bytes, q->flags);
    q->error = errno;
}

static socklen_t at_most(socklen_t bytes)
{
    return bytes < NAME_BYTES_MAX ? bytes : NAME_BYTES_MAX;
}

int getnameinfo(const struct sockaddr *address, socklen_t address_bytes, char *host,
                socklen_t host_bytes, char *service, socklen_t service_bytes, int flags)
{
    bool fits = address && address_bytes <= sizeof(struct sockaddr_storage);
    struct weft_task *self = fits ? weft_call_enter() : NULL;
    if (!self)
        return next_getnameinfo()(address, address_bytes, host, host_bytes, service, service_bytes,
                                  flags);
    struct name_query *q = calloc(1, sizeof *q);
    int rc = EAI_MEMORY, error = 0;
    if (q) {
        memcpy(&q->address, address, address_bytes);
        q->address_bytes = address_bytes;
        q->host_bytes = host ? at_most(host_bytes) : 0;
        q->service_bytes = service ? at_most(service_bytes) : 0;
        q->flags = flags;
        if (weft_call_pooled(self, "getnameinfo", name_query_run, q) == 0) {
            rc = q->rc;
            error = q->error;
        }
        if (rc == 0 && q->host_bytes > 0)
            memcpy(host, q->host, strnlen(q->host, q->host_bytes - 1) + 1);
        if (rc == 0 && q->service_bytes > 0)
            memcpy(service, q->service, strnlen(q->service, q->service_bytes - 1) + 1);
    }
    free(q);
    (void)weft_call_leave(self, 0);
    if (rc == EAI_SYSTEM)
        set_errno(error);
    return rc;
}

/* ---- gethostby... ---------------------------------------------------------------------------- */

enum host_call { BY_NAME, BY_NAME2, BY_ADDR };

struct host_query {
    enum host_call call;
    int family;
    char *name;
    unsigned char address[ADDR_BYTES_MAX];
    socklen_t address_bytes;
    struct hostent *found;
    int rc, error, host_error;
    /* For the ..._r calls: */
    struct hostent host;
    char *buffer;
    size_t buffer_bytes;
};

static void host_query_run(void *arg)
{
    struct host_query *q = arg;
    errno = 0;
    switch (q->call) {
    case BY_NAME: q->found = next_gethostbyname()(q->name); break;
    case BY_NAME2: q->found = next_gethostbyname2()(q->name, q->family); break;
    case BY_ADDR: q->found = next_gethostbyaddr()(q->address, q->address_bytes, q->family); break;
    }
    q->error = errno;
    q->host_error = h_errno;
}

static void host_query_run_r(void *arg)
{
    struct host_query *q = arg;
    errno = 0;
    switch (q->call) {
    case BY_NAME:
        q->rc = next_gethostbyname_r()(q->name, &q->host, q->buffer, q->buffer_bytes, &q->found,
                                       &q->host_error);
        break;
    case BY_NAME2:
        q->rc = next_gethostbyname2_r()(q->name, q->family, &q->host, q->buffer, q->buffer_bytes,
                                        &q->found, &q->host_error);
        break;
    case BY_ADDR:
        q->rc = next_gethostbyaddr_r()(q->address, q->address_bytes, q->family, &q->host, q->buffer,
                                       q->buffer_bytes, &q->found, &q->host_error);
        break;
    }
    q->error = errno;
}

static struct host_query *host_query_new(enum host_call call, const char *name, const void *address,
                                         socklen_t address_bytes, int family)
{
    struct host_query *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->call = call;
    q->family = family;
    q->address_bytes = address_bytes;
    if (address)
        memcpy(q->address, address, address_bytes);
    if (!copy_text(name, &q->name)) {
        free(q);
        return NULL;
    }
    q->host_error = NETDB_INTERNAL;
    q->error = ENOMEM;
    return q;
}

static void host_query_free(struct host_query *q)
{
    if (q)
        free(q->name);
    free(q);
}

/* Their results are static, and anybody's next call's, as ever. */
static struct hostent *host_query(struct weft_task *self, struct host_query *q)
{
    struct hostent *found = NULL;
    int error = ENOMEM, host_error = NETDB_INTERNAL;
    if (q && weft_call_pooled(self, "gethostbyname", host_query_run, q) == 0) {
        found = q->found;
        error = q->error;
        host_error = q->host_error;
    }
    host_query_free(q);
    (void)weft_call_leave(self, 0);
    if (!found) {
        set_h_errno(host_error);
        set_errno(error);
    }
    return found;
}

struct hostent *gethostbyname(const char *name)
{
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_gethostbyname()(name);
    return host_query(self, host_query_new(BY_NAME, name, NULL, 0, AF_UNSPEC));
}

struct hostent *gethostbyname2(const char *name, int family)
{
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_gethostbyname2()(name, family);
    return host_query(self, host_query_new(BY_NAME2, name, NULL, 0, family));
}

struct hostent *gethostbyaddr(const void *address, socklen_t bytes, int family)
{
    struct weft_task *self = bytes <= ADDR_BYTES_MAX ? weft_call_enter() : NULL;
    if (!self)
        return next_gethostbyaddr()(address, bytes, family);
    return host_query(self, host_query_new(BY_ADDR, NULL, address, bytes, family));
}

/* Where the caller of an ..._r call wants the result. */
struct host_place {
    struct hostent *host;
    char *buffer;
    size_t bytes;
    struct hostent **found;
    int *host_error;
};

static void *moved(const void *old, const char *from, char *to)
{
    return old ? to + ((const char *)old - from) : NULL;
}

/* Byte by byte, for libc does not always align the list. */
static char **list_moved(char **old, const char *from, char *to)
{
    char *list = moved(old, from, to), *each = NULL;
    for (char *at = list; at; at += sizeof each) {
        memcpy(&each, at, sizeof each);
        if (!each)
            break;
        each = moved(each, from, to);
        memcpy(at, &each, sizeof each);
    }
    return (char **)(void *)list;
}

/* Everything that a hostent points to lies in its buffer. */
static void host_move(const struct host_query *q, const struct host_place *place)
{
    memcpy(place->buffer, q->buffer, q->buffer_bytes);
    *place->host = q->host;
    place->host->h_name = moved(q->host.h_name, q->buffer, place->buffer);
    place->host->h_aliases = list_moved(q->host.h_aliases, q->buffer, place->buffer);
    place->host->h_addr_list = list_moved(q->host.h_addr_list, q->buffer, place->buffer);
}

/* The other thread's buffer is aligned as the caller's is: libc aligns what it puts in there. */
static int host_query_r(struct weft_task *self, struct host_query *q,
                        const struct host_place *place)
{
    size_t offset = (uintptr_t)place->buffer % sizeof(max_align_t);
    char *memory = q ? malloc(place->bytes + offset + 1) : NULL;
    int rc = ENOMEM, error = 0;
    *place->host_error = NETDB_INTERNAL;
    *place->found = NULL;
    if (memory) {
        q->buffer = memory + offset;
        q->buffer_bytes = place->bytes;
        if (weft_call_pooled(self, "gethostbyname", host_query_run_r, q) == 0) {
            rc = q->rc;
            error = q->error;
            *place->host_error = q->host_error;
        }
        if (rc == 0 && q->found) {
            host_move(q, place);
            *place->found = place->host;
        }
    }
    free(memory);
    host_query_free(q);
    (void)weft_call_leave(self, 0);
    if (rc != 0)
        set_errno(error);
    return rc;
}

int gethostbyname_r(const char *name, struct hostent *host, char *buffer, size_t bytes,
                    struct hostent **found, int *host_error)
{
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_gethostbyname_r()(name, host, buffer, bytes, found, host_error);
    return host_query_r(self, host_query_new(BY_NAME, name, NULL, 0, AF_UNSPEC),
                        &(struct host_place){ host, buffer, bytes, found, host_error });
}

int gethostbyname2_r(const char *name, int family, struct hostent *host, char *buffer, size_t bytes,
                     struct hostent **found, int *host_error)
{
    struct weft_task *self = weft_call_enter();
    if (!self)
        return next_gethostbyname2_r()(name, family, host, buffer, bytes, found, host_error);
    return host_query_r(self, host_query_new(BY_NAME2, name, NULL, 0, family),
                        &(struct host_place){ host, buffer, bytes, found, host_error });
}

int gethostbyaddr_r(const void *address, socklen_t address_bytes, int family, struct hostent *host,
                    char *buffer, size_t bytes, struct hostent **found, int *host_error)
{
    struct weft_task *self = address_bytes <= ADDR_BYTES_MAX ? weft_call_enter() : NULL;
    if (!self)
        return next_gethostbyaddr_r()(address, address_bytes, family, host, buffer, bytes, found,
                                      host_error);
    return host_query_r(self, host_query_new(BY_ADDR, NULL, address, address_bytes, family),
                        &(struct host_place){ host, buffer, bytes, found, host_error });
}
