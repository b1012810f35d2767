/* SPDX-License-Identifier: MIT
 *
 * Addresses: the forms we take, those we refuse, and what is loopback.
 */
#include "support/berthtest.h"

#include <stdio.h>
#include <string.h>

#include "base/endpoint.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static void an_url_is_taken_apart(void **state)
{
    (void)state;
    struct berth_endpoint endpoint;

    assert_rc(berth_endpoint_parse("--broker", "tcp://127.0.0.1:7411", &endpoint, NULL), 0);
    assert_int_equal(endpoint.kind, BERTH_ENDPOINT_TCP);
    assert_string_equal(endpoint.host, "127.0.0.1");
    assert_int_equal(endpoint.port, 7411);

    assert_rc(berth_endpoint_parse("--broker", "tcp://[fe80::1]:65535", &endpoint, NULL), 0);
    assert_string_equal(endpoint.host, "fe80::1");
    assert_int_equal(endpoint.port, 65535);

    assert_rc(berth_endpoint_parse("--broker", "ipc:///run/berth/socket", &endpoint, NULL), 0);
    assert_int_equal(endpoint.kind, BERTH_ENDPOINT_IPC);
    assert_string_equal(endpoint.path, "/run/berth/socket");
}

static void an_address_is_taken_apart(void **state)
{
    (void)state;
    struct berth_endpoint endpoint;

    assert_rc(berth_endpoint_parse_address("--http", "localhost:7480", &endpoint, NULL), 0);
    assert_string_equal(endpoint.host, "localhost");
    assert_int_equal(endpoint.port, 7480);
    assert_rc(berth_endpoint_parse_address("--http", "7480", &endpoint, NULL), BERTH_EVALUE);
}

static void what_is_no_url_is_refused_with_what_is_wanted(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "tcp://",
        "tcp://h",
        "tcp://h:",
        "tcp://:7411",
        "tcp://h:0",
        "tcp://h:65536",
        "tcp://h:x",
        "tcp://a b:1",
        "tcp://[::1:1",
        "tcp://[x]:1",
        "tcp://::1:1",
        "udp://h:1",
        "h:1",
        "ipc://",
        "TCP://h:1",
        "tcp://-h:1",
        "tcp://h:1/x",
        "tcp://[]:1",
    };
    struct berth_endpoint endpoint = { .port = 7 };
    struct berth_error err;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_rc(berth_endpoint_parse("--broker", bad[i], &endpoint, &err), BERTH_EVALUE);
    assert_int_equal(endpoint.port, 7);

    assert_rc(berth_endpoint_parse("--broker", "localhost", &endpoint, &err), BERTH_EVALUE);
    assert_string_equal(err.message,
                        "--broker: 'localhost' is not an address; tcp://HOST:PORT or ipc://PATH is "
                        "wanted (a port from 1 to 65535, a path of at most 107 bytes)");
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    struct berth_endpoint endpoint;
    char url[400], filler[300];
    memset(filler, 'x', sizeof filler);

    (void)snprintf(url, sizeof url, "ipc://%.*s", BERTH_PATH_BYTES_MAX, filler);
    assert_rc(berth_endpoint_parse("u", url, &endpoint, NULL), 0);
    (void)snprintf(url, sizeof url, "ipc://%.*s", BERTH_PATH_BYTES_MAX + 1, filler);
    assert_rc(berth_endpoint_parse("u", url, &endpoint, NULL), BERTH_EVALUE);

    (void)snprintf(url, sizeof url, "tcp://%.*s:1", BERTH_HOST_BYTES_MAX, filler);
    assert_rc(berth_endpoint_parse("u", url, &endpoint, NULL), 0);
    (void)snprintf(url, sizeof url, "tcp://%.*s:1", BERTH_HOST_BYTES_MAX + 1, filler);
    assert_rc(berth_endpoint_parse("u", url, &endpoint, NULL), BERTH_EVALUE);
}

static void loopback_is_what_only_this_machine_reaches(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool is_loopback;
    } cases[] = {
        { "tcp://127.0.0.1:1", true },
        { "tcp://127.8.9.1:1", true },
        { "tcp://[::1]:1", true },
        { "tcp://localhost:1", true },
        { "ipc://x", true },
        { "tcp://0.0.0.0:1", false },
        { "tcp://128.0.0.1:1", false },
        { "tcp://[::]:1", false },
        { "tcp://10.0.0.1:1", false },
        { "tcp://localhost.example:1", false },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct berth_endpoint endpoint;
        assert_rc(berth_endpoint_parse("u", cases[i].url, &endpoint, NULL), 0);
        assert_int_equal(berth_endpoint_is_loopback(&endpoint), cases[i].is_loopback);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_url_is_taken_apart),
        cmocka_unit_test(an_address_is_taken_apart),
        cmocka_unit_test(what_is_no_url_is_refused_with_what_is_wanted),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(loopback_is_what_only_this_machine_reaches),
    };
    return berth_test_main(tests, NULL, NULL);
}
