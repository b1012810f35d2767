/* SPDX-License-Identifier: MIT
 *
 * The broker on its socket: what was answered survives kill -9, and what a peer sends wrong is
 * answered by name and harms nobody else.
 */
#include "site.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/await.h"
#include "translate_peer.h"

#define FRAME_BYTES_MAX (16u << 20) /* docs/PROTOCOL.md */
#define FRAME_BYTES_CUT (65u << 20) /* beyond what the socket takes at all */
#define BODY_BYTES      (1u << 20)
#define IDS_MAX         10000

static uint64_t submit_one(struct peer *peer, const char *dispatcher)
{
    peer_submit(peer, dispatcher, "nobody-offers-this", 1, 10);
    struct peer_answer answer = peer_await(peer, "submitted");
    assert_int_equal(answer.count, 1);
    assert_true(answer.ids[0] > 0);
    return answer.ids[0];
}

static void what_was_answered_survives_a_kill(void **state)
{
    struct site *site = *state;
    struct peer peer;
    uint64_t ids[20];
    site_start(site, NULL);
    peer_open(&peer, site->url, "a");
    for (size_t i = 0; i < 20; i++)
        ids[i] = submit_one(&peer, i % 2 ? "io" : "default");

    assert_int_equal(site_kill(site), 128 + 9);
    site_start(site, NULL);

    peer_get(&peer, ids, 20);
    struct peer_answer answer = peer_await(&peer, "jobs");
    assert_int_equal(answer.count, 20);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(answer.ids[i], ids[i]);
    assert_int_equal(answer.body_bytes, 20 * 10);
    uint64_t next = submit_one(&peer, "default");
    assert_true(next > ids[19]);
    peer_close(&peer);
}

static void a_submit_repeated_across_a_kill_gives_the_same_jobs(void **state)
{
    struct site *site = *state;
    struct peer peer;
    site_start(site, NULL);
    peer_open(&peer, site->url, "a");
    peer_submit(&peer, "default", "mail", 3, 5);
    struct peer_answer first = peer_await(&peer, "submitted");

    peer_repeat(&peer);
    struct peer_answer again = peer_await(&peer, "submitted");
    assert_memory_equal(again.ids, first.ids, sizeof first.ids);
    assert_int_equal(site_kill(site), 128 + 9);
    site_start(site, NULL);
    peer_repeat(&peer);
    again = peer_await(&peer, "submitted");

    assert_int_equal(first.count, 3);
    assert_int_equal(again.count, 3);
    assert_memory_equal(again.ids, first.ids, sizeof first.ids);
    peer_list(&peer);
    assert_int_equal(peer_await(&peer, "jobs").count, 3);
    peer_close(&peer);
}

static void a_key_means_one_job_and_another_body_a_conflict(void **state)
{
    struct site *site = *state;
    struct peer peer;
    site_start(site, NULL);
    peer_open(&peer, site->url, "a");
    peer_submit_with_key(&peer, "default", "order-1", "body");
    uint64_t id = peer_await(&peer, "submitted").ids[0];
    assert_int_equal(site_kill(site), 128 + 9);
    site_start(site, NULL);

    peer_submit_with_key(&peer, "default", "order-1", "body");
    assert_int_equal(peer_await(&peer, "submitted").ids[0], id);
    peer_submit_with_key(&peer, "default", "order-1", "other body");
    struct peer_answer answer = peer_await(&peer, "submitted");
    assert_int_equal(answer.ids[0], 0);
    assert_int_equal(answer.code, PEER_CONFLICT);
    assert_string_equal(answer.field, "key");
    peer_submit_with_key(&peer, "io", "order-1", "body");
    answer = peer_await(&peer, "submitted");
    assert_true(answer.ids[0] > id);
    peer_close(&peer);
}

static void settings_and_cancels_survive_a_kill(void **state)
{
    struct site *site = *state;
    struct peer peer;
    site_start(site, NULL);
    peer_open(&peer, site->url, "a");
    peer_set_limit(&peer, "newsletter", 5);
    assert_int_equal(peer_await(&peer, "dispatchers").limit_value, 5);
    peer_pause(&peer, "newsletter", true);
    assert_true(peer_await(&peer, "dispatchers").is_paused);
    uint64_t id = submit_one(&peer, "newsletter");
    peer_cancel(&peer, id);
    assert_int_equal(peer_await(&peer, "job_cancelled").states[0], 9);

    assert_int_equal(site_kill(site), 128 + 9);
    site_start(site, NULL);

    peer_show_dispatcher(&peer, "newsletter");
    struct peer_answer answer = peer_await(&peer, "dispatchers");
    assert_int_equal(answer.limit_value, 5);
    assert_true(answer.is_paused);
    peer_get(&peer, &id, 1);
    assert_int_equal(peer_await(&peer, "jobs").states[0], 9);
    peer_close(&peer);
}

static void a_wait_outlives_a_restart(void **state)
{
    struct site *site = *state;
    struct peer waiter, other;
    site_start(site, NULL);
    peer_open(&waiter, site->url, "waiter");
    peer_open(&other, site->url, "other");
    uint64_t id = submit_one(&other, "default");
    peer_wait(&waiter, id);
    assert_int_equal(peer_await(&waiter, "job_waited").pending, 1);
    assert_int_equal(site_kill(site), 128 + 9);
    site_start(site, NULL);
    peer_repeat(&waiter);
    assert_int_equal(peer_await(&waiter, "job_waited").pending, 1);

    peer_cancel(&other, id);
    assert_int_equal(peer_await(&other, "job_cancelled").count, 1);

    struct peer_answer answer;
    assert_true(peer_next(&waiter, &answer));
    assert_string_equal(answer.name, "job_waited");
    assert_int_equal(answer.pending, 0);
    assert_int_equal(answer.ids[0], id);
    assert_int_equal(answer.states[0], 9);
    peer_close(&waiter);
    peer_close(&other);
}

/* ---- bad input ---- */

struct pair {
    struct peer bad, good;
};

static void open_pair(struct site *site, struct pair *pair)
{
    site_start(site, NULL);
    peer_open(&pair->bad, site->url, "bad");
    peer_open(&pair->good, site->url, "good");
    (void)submit_one(&pair->good, "default");
}

/* The bad peer gets this, and the good one goes on. */
static struct peer_answer refused(struct pair *pair, uint32_t code)
{
    struct peer_answer answer;
    assert_true(peer_next(&pair->bad, &answer));
    assert_string_equal(answer.name, "error");
    assert_int_equal(answer.code, code);
    assert_true(strlen(answer.message) > 0);
    (void)submit_one(&pair->good, "default");
    return answer;
}

static void close_pair(struct pair *pair)
{
    peer_close(&pair->bad);
    peer_close(&pair->good);
}

static void garbage_is_answered_and_harms_nobody(void **state)
{
    struct site *site = *state;
    struct pair pair;
    open_pair(site, &pair);

    peer_send_bytes(&pair.bad, "\xde\xad\xbe\xef garbage", 12, 1);
    (void)refused(&pair, PEER_INVALID);
    peer_send_bytes(&pair.bad, "", 0, 1);
    (void)refused(&pair, PEER_INVALID);
    peer_send_bytes(&pair.bad, "x", 1, 1000);
    assert_in_text(refused(&pair, PEER_INVALID).message, "1000 frames");
    uint64_t seed = 1;
    for (int i = 0; i < 500; i++) {
        uint64_t noise[8];
        for (size_t j = 0; j < 8; j++)
            noise[j] = seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        peer_send_bytes(&pair.bad, noise, sizeof noise, 1);
    }
    for (int i = 0; i < 500; i++) {
        struct peer_answer answer;
        assert_true(peer_next(&pair.bad, &answer));
        assert_string_equal(answer.name, "error");
    }
    (void)submit_one(&pair.good, "default");
    close_pair(&pair);
}

static void a_truncated_message_is_answered(void **state)
{
    struct site *site = *state;
    struct pair pair;
    open_pair(site, &pair);
    peer_submit(&pair.bad, "default", "mail", 2, 100);
    struct peer_answer answer;
    assert_true(peer_next(&pair.bad, &answer));

    peer_send_bytes(&pair.bad, berth_buf_text(&pair.bad.frame), pair.bad.frame.bytes - 50, 1);

    (void)refused(&pair, PEER_INVALID);
    close_pair(&pair);
}

static void another_version_is_answered_with_those_spoken(void **state)
{
    struct site *site = *state;
    struct pair pair;
    open_pair(site, &pair);
    peer_submit(&pair.bad, "default", "mail", 1, 1);
    struct peer_answer answer;
    assert_true(peer_next(&pair.bad, &answer));

    peer_repeat_in_version(&pair.bad, 2);

    answer = refused(&pair, PEER_VERSION);
    assert_int_equal(answer.request, pair.bad.request);
    assert_int_equal(answer.version_min, 1);
    assert_int_equal(answer.version_max, 1);
    close_pair(&pair);
}

static void a_frame_over_the_limit_is_answered(void **state)
{
    struct site *site = *state;
    struct pair pair;
    open_pair(site, &pair);
    BERTH_AUTO_MEM char *large = calloc(1, FRAME_BYTES_MAX + 1);

    peer_send_bytes(&pair.bad, large, FRAME_BYTES_MAX + 1, 1);

    (void)refused(&pair, PEER_TOO_LARGE);
    close_pair(&pair);
}

static void a_frame_beyond_the_socket_cuts_its_sender_alone(void **state)
{
    struct site *site = *state;
    struct pair pair;
    open_pair(site, &pair);
    BERTH_AUTO_MEM char *huge = calloc(1, FRAME_BYTES_CUT);

    peer_send_bytes(&pair.bad, huge, FRAME_BYTES_CUT, 1);

    for (int i = 0; i < 20; i++)
        (void)submit_one(&pair.good, "default");
    /* The connection comes back, and what is sent then is as good as anything. */
    peer_hello(&pair.bad);
    assert_int_equal(peer_await(&pair.bad, "client_welcome").epoch, 1);
    close_pair(&pair);
}

static void bad_fields_are_answered_by_name(void **state)
{
    struct site *site = *state;
    struct pair pair;
    open_pair(site, &pair);

    peer_submit(&pair.bad, "default", "../../bin/sh", 1, 1);
    assert_string_equal(refused(&pair, PEER_INVALID).field, "handlers");
    peer_submit(&pair.bad, "no such name", "mail", 1, 1);
    assert_string_equal(refused(&pair, PEER_INVALID).field, "dispatchers");
    peer_set_limit(&pair.bad, "newsletter", UINT32_MAX);
    assert_string_equal(refused(&pair, PEER_INVALID).field, "limit_value");
    peer_set_limit(&pair.bad, "-x", 5);
    assert_string_equal(refused(&pair, PEER_INVALID).field, "name");
    peer_show_dispatcher(&pair.bad, "not-there");
    assert_in_text(refused(&pair, PEER_NOT_FOUND).message, "not-there");
    close_pair(&pair);
}

static void a_submit_to_an_unknown_dispatcher_is_refused(void **state)
{
    struct site *site = *state;
    struct pair pair;
    open_pair(site, &pair);

    peer_submit(&pair.bad, "not-there", "mail", 1, 1);

    struct peer_answer answer = peer_await(&pair.bad, "submitted");
    assert_int_equal(answer.ids[0], 0);
    assert_int_equal(answer.code, PEER_NOT_FOUND);
    assert_string_equal(answer.field, "dispatcher");
    assert_in_text(answer.message, "not-there");
    close_pair(&pair);
}

static void a_connection_that_speaks_no_zmtp_harms_nobody(void **state)
{
    struct site *site = *state;
    uint16_t port = free_port();
    char url[64];
    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%u", (unsigned)port);
    site_start(site, (const char *[]){ "--listen", url, NULL });
    struct peer good;
    peer_open(&good, url, "good");
    (void)submit_one(&good, "default");

    for (int i = 0; i < 50; i++) {
        BERTH_AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons(port),
                                       .sin_addr = { htonl(INADDR_LOOPBACK) } };
        assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
        static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_true(send(fd, text, sizeof text - 1, MSG_NOSIGNAL) > 0);
    }

    for (int i = 0; i < 20; i++)
        (void)submit_one(&good, "default");
    peer_close(&good);
}

/* ---- bounds ---- */

static void a_peer_that_asks_and_does_not_read_harms_nobody(void **state)
{
    struct site *site = *state;
    struct pair pair;
    open_pair(site, &pair);
    uint64_t ids[8];
    for (size_t i = 0; i < 8; i++) {
        peer_submit(&pair.bad, "default", "mail", 1, BODY_BYTES);
        ids[i] = peer_await(&pair.bad, "submitted").ids[0];
    }

    for (int i = 0; i < 200; i++)
        peer_get(&pair.bad, ids, 8); /* 1.6 GB, if all were answered and kept */

    for (int i = 0; i < 20; i++)
        (void)submit_one(&pair.good, "default");
    close_pair(&pair);
    char path[64], line[256];
    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)site->broker.pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    unsigned long peak_kib = 0;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak_kib = strtoul(line + 6, NULL, 10);
    }
    (void)fclose(file);
    assert_in_range(peak_kib, 1, 768u << 10);
}

static void jobs_that_do_not_fit_into_one_answer_come_in_the_next(void **state)
{
    struct site *site = *state;
    struct peer peer;
    uint64_t ids[20];
    site_start(site, NULL);
    peer_open(&peer, site->url, "a");
    for (size_t i = 0; i < 20; i++) {
        peer_submit(&peer, "default", "mail", 1, BODY_BYTES);
        ids[i] = peer_await(&peer, "submitted").ids[0];
    }

    size_t seen = 0;
    for (int asked = 0; seen < 20 && asked < 3; asked++) {
        peer_get(&peer, ids + seen, 20 - seen);
        struct peer_answer answer = peer_await(&peer, "jobs");
        assert_true(answer.count > 0);
        for (size_t i = 0; i < answer.count; i++)
            assert_int_equal(answer.ids[i], ids[seen + i]);
        seen += answer.count;
        assert_int_equal(answer.next, seen < 20 ? ids[seen - 1] : 0);
    }
    assert_int_equal(seen, 20);
    peer_close(&peer);
}

static void peers_that_come_and_go_leave_nothing_behind(void **state)
{
    struct site *site = *state;
    struct peer good;
    site_start(site, NULL);
    peer_open(&good, site->url, "good");
    uint64_t id = submit_one(&good, "default");
    for (int i = 0; i < 50; i++) {
        struct peer peer;
        peer_open(&peer, site->url, "passing");
        peer_wait(&peer, id);
        assert_int_equal(peer_await(&peer, "job_waited").pending, 1);
        peer_close(&peer);
    }

    peer_cancel(&good, id);
    assert_int_equal(peer_await(&good, "job_cancelled").count, 1);
    (void)submit_one(&good, "default");
    peer_close(&good);
}

static void as_many_ids_as_a_request_may_hold_are_answered(void **state)
{
    struct site *site = *state;
    struct peer peer;
    site_start(site, NULL);
    peer_open(&peer, site->url, "a");
    static uint64_t ids[IDS_MAX];
    ids[0] = submit_one(&peer, "default");
    for (size_t i = 1; i < IDS_MAX; i++)
        ids[i] = ids[0] + i;

    peer_wait_all(&peer, ids, IDS_MAX);
    struct peer_answer answer = peer_await(&peer, "job_waited");
    assert_int_equal(answer.pending, 1);
    assert_int_equal(answer.unknown_count, IDS_MAX - 1);
    peer_get(&peer, ids, IDS_MAX);
    answer = peer_await(&peer, "jobs");
    assert_int_equal(answer.count, 1);
    assert_true(answer.unknown_count >= 999); /* of the first; the rest is to be asked for again */
    peer_cancel_all(&peer, ids, IDS_MAX);
    answer = peer_await(&peer, "job_cancelled");
    assert_int_equal(answer.count, IDS_MAX);
    assert_int_equal(answer.states[0], 9);
    assert_int_equal(answer.states[1], 0);
    peer_close(&peer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_setup, site_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_answered_survives_a_kill),
        TEST(a_submit_repeated_across_a_kill_gives_the_same_jobs),
        TEST(a_key_means_one_job_and_another_body_a_conflict),
        TEST(settings_and_cancels_survive_a_kill),
        TEST(a_wait_outlives_a_restart),
        TEST(garbage_is_answered_and_harms_nobody),
        TEST(a_truncated_message_is_answered),
        TEST(another_version_is_answered_with_those_spoken),
        TEST(a_frame_over_the_limit_is_answered),
        TEST(a_frame_beyond_the_socket_cuts_its_sender_alone),
        TEST(bad_fields_are_answered_by_name),
        TEST(a_submit_to_an_unknown_dispatcher_is_refused),
        TEST(a_connection_that_speaks_no_zmtp_harms_nobody),
        TEST(a_peer_that_asks_and_does_not_read_harms_nobody),
        TEST(jobs_that_do_not_fit_into_one_answer_come_in_the_next),
        TEST(as_many_ids_as_a_request_may_hold_are_answered),
        TEST(peers_that_come_and_go_leave_nothing_behind),
    };
    return berth_test_main(tests, NULL, NULL);
}
