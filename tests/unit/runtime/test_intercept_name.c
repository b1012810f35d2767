/* SPDX-License-Identifier: MIT
 *
 * Names of hosts in coroutines whose libc calls park. They are looked up in /etc/hosts and in
 * numbers, so that no network is needed.
 */
#include "wefttest.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stddef.h>

#define BUFFER_BYTES 1024
#define TRIES        1000

struct asked {
    int rc[4], error;
    unsigned short port;
    char host[64], service[32];
    uint32_t address;
    bool is_inside; /* everything lies in the caller's buffer */
};

static int ask_address(void *arg)
{
    struct asked *a = arg;
    char node[] = "127.0.0.5", service[] = "8080"; /* on the coroutine's stack */
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *found = NULL;
    a->rc[0] = getaddrinfo(node, service, &hints, &found);
    if (a->rc[0] != 0)
        return 0;
    struct sockaddr_in in;
    memcpy(&in, found->ai_addr, sizeof in);
    a->address = ntohl(in.sin_addr.s_addr);
    a->port = ntohs(in.sin_port);
    a->rc[1] = getnameinfo(found->ai_addr, found->ai_addrlen, a->host, sizeof a->host, a->service,
                           sizeof a->service, NI_NUMERICHOST | NI_NUMERICSERV);
    a->rc[2] = getnameinfo(found->ai_addr, found->ai_addrlen, a->host, 3, NULL, 0, NI_NUMERICHOST);
    freeaddrinfo(found);
    errno = 33;
    hints.ai_flags = AI_NUMERICHOST;
    a->rc[3] = getaddrinfo("no number", NULL, &hints, &found);
    a->error = errno;
    return 0;
}

static void addresses_and_names_are_found(void **state)
{
    (void)state;
    struct asked a = { .port = 0 };

    assert_int_equal(run_virtual(ask_address, &a), 0);

    const int expected[] = { 0, 0, EAI_OVERFLOW, EAI_NONAME };
    assert_memory_equal(a.rc, expected, sizeof expected);
    assert_int_equal(a.address, 0x7f000005);
    assert_int_equal(a.port, 8080);
    assert_string_equal(a.service, "8080");
    assert_int_equal(a.error, 33);
}

static bool is_in(const void *what, const char *buffer)
{
    const char *at = what;
    return at >= buffer && at < buffer + BUFFER_BYTES;
}

static int ask_host(void *arg)
{
    struct asked *a = arg;
    _Alignas(max_align_t) char buffer[BUFFER_BYTES];
    char tiny[4];
    struct hostent host, *found = NULL;
    int host_error = 0;
    a->rc[0] =
        gethostbyname_r("127.0.0.9", &host, buffer + 8, sizeof buffer - 8, &found, &host_error);
    if (found != &host)
        return -EIO;
    memcpy(&a->address, host.h_addr_list[0], sizeof a->address);
    a->is_inside = is_in(host.h_name, buffer) && is_in(host.h_aliases, buffer) &&
                   is_in(host.h_addr_list, buffer) && is_in(host.h_addr_list[0], buffer);
    a->rc[1] = gethostbyname_r("127.0.0.9", &host, tiny, sizeof tiny, &found, &host_error);
    const struct hostent *fixed = gethostbyname("127.0.0.9");
    a->rc[2] = fixed ? fixed->h_addrtype : -1;
    fixed = gethostbyname2("127.0.0.9", AF_INET);
    a->rc[3] = fixed ? fixed->h_addrtype : -1;
    return 0;
}

static void the_old_calls_work_and_fill_the_callers_buffer(void **state)
{
    (void)state;
    struct asked a = { .port = 0 };

    assert_int_equal(run_virtual(ask_host, &a), 0);

    const int expected[] = { 0, ERANGE, AF_INET, AF_INET };
    assert_memory_equal(a.rc, expected, sizeof expected);
    assert_int_equal(ntohl(a.address), 0x7f000009);
    assert_true(a.is_inside);
}

static int ask_unknown(void *arg)
{
    struct asked *a = arg;
    h_errno = 0;
    a->rc[0] = gethostbyname("") ? 1 : 0; /* refused without a server */
    a->rc[1] = h_errno;
    return 0;
}

static void h_errno_comes_from_the_other_thread(void **state)
{
    (void)state;
    struct asked a = { .port = 0 };

    assert_int_equal(run_virtual(ask_unknown, &a), 0);

    assert_int_equal(a.rc[0], 0);
    assert_int_not_equal(a.rc[1], 0);
}

/* ---- parked ---------------------------------------------------------------------------------- */

struct race {
    struct weft_scope scope;
    atomic_bool has_run;
    bool ran_meanwhile;
};

static int run_meanwhile(void *arg)
{
    struct race *race = arg;
    race->has_run = true;
    return 0;
}

/* On one thread: the other one gets its turn only if this one parks. Which it does not if the
 * answer is there first. */
static int ask_and_let_run(void *arg)
{
    struct race *race = arg;
    struct addrinfo *found = NULL;
    weft_scope_open(&race->scope);
    weft_launch(&race->scope, NULL, run_meanwhile, race);
    int rc = 0;
    for (int i = 0; i < TRIES && rc == 0 && !race->ran_meanwhile; i++) {
        rc = getaddrinfo("127.0.0.1", NULL, NULL, &found);
        race->ran_meanwhile = race->has_run;
        if (rc == 0)
            freeaddrinfo(found);
    }
    return weft_scope_close(&race->scope, rc == 0 ? 0 : -EIO);
}

static void others_of_the_thread_run_meanwhile(void **state)
{
    (void)state;
    struct race race = { .has_run = false };
    assert_int_equal(weft_configure(&(struct weft_opts){ .threads = 1 }), 0);

    assert_int_equal(run_virtual(ask_and_let_run, &race), 0);

    assert_true(race.ran_meanwhile);
}

#define QUESTIONS 8

struct question {
    int number;
    atomic_int *done;
};

static int ask(void *arg)
{
    struct question *q = arg;
    char buffer[BUFFER_BYTES], host[64];
    struct hostent entry, *found = NULL;
    struct addrinfo *list = NULL;
    struct in_addr in = { .s_addr = htonl(INADDR_LOOPBACK) };
    const struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = in };
    const struct sockaddr *address = (const struct sockaddr *)&to;
    int error = 0;
    switch (q->number) {
    case 0:
        if (getaddrinfo("127.0.0.1", NULL, NULL, &list) == 0)
            freeaddrinfo(list);
        break;
    case 1: error = getnameinfo(address, sizeof to, host, sizeof host, NULL, 0, 0); break;
    case 2: (void)gethostbyname("127.0.0.1"); break;
    case 3: (void)gethostbyname2("127.0.0.1", AF_INET); break;
    case 4: (void)gethostbyaddr(&in, sizeof in, AF_INET); break;
    case 5:
        (void)gethostbyname_r("127.0.0.1", &entry, buffer, sizeof buffer, &found, &error);
        break;
    case 6:
        (void)gethostbyname2_r("127.0.0.1", AF_INET, &entry, buffer, sizeof buffer, &found, &error);
        break;
    case 7:
        (void)gethostbyaddr_r(&in, sizeof in, AF_INET, &entry, buffer, sizeof buffer, &found,
                              &error);
        break;
    }
    ++*q->done;
    return 0;
}

static int ask_everything(void *arg)
{
    struct question *questions = arg;
    struct weft_scope scope;
    weft_scope_open(&scope);
    for (int i = 0; i < QUESTIONS; i++)
        weft_launch(&scope, NULL, ask, &questions[i]);
    return weft_scope_close(&scope, 0);
}

static void each_call_is_made_on_io(void **state)
{
    (void)state;
    atomic_int done = 0;
    struct question questions[QUESTIONS];
    for (int i = 0; i < QUESTIONS; i++)
        questions[i] = (struct question){ .number = i, .done = &done };

    assert_pooled(ask_everything, questions, &done, QUESTIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        parking_unit_test(addresses_and_names_are_found),
        parking_unit_test(the_old_calls_work_and_fill_the_callers_buffer),
        parking_unit_test(h_errno_comes_from_the_other_thread),
        parking_unit_test(others_of_the_thread_run_meanwhile),
        parking_unit_test(each_call_is_made_on_io),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
