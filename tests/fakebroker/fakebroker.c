/* SPDX-License-Identifier: MIT
 *
 * The fake broker's thread, its script, and what tests ask it. Under one lock.
 */
#include "fakebroker.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "internal.h"
#include "proto/body.h"
#include "proto/errors.h"
#include "proto/validate.h"
#include "proto/wire.h"
#include "support/await.h"

#define ARENA_BYTES (256u << 20)

static void *run(void *arg);

void fake_check(bool is_true, const char *what)
{
    if (is_true)
        return;
    (void)fprintf(stderr, "fake broker: %s: %s\n", what, strerror(errno));
    abort();
}

struct berth_slice fake_copy(struct berth_slice bytes)
{
    void *data = malloc(bytes.bytes + 1);
    fake_check(data != NULL, "malloc");
    if (bytes.bytes > 0)
        memcpy(data, bytes.data, bytes.bytes);
    return (struct berth_slice){ .data = data, .bytes = bytes.bytes };
}

static void drop_slice(struct berth_slice slice)
{
    union {
        const void *borrowed;
        void *owned;
    } both = { .borrowed = slice.data };
    free(both.owned);
}

struct fake_broker *fake_broker_new(void)
{
    struct fake_broker *broker = calloc(1, sizeof *broker);
    fake_check(broker != NULL, "calloc");
    broker->jobs = calloc(FAKE_JOBS_MAX, sizeof *broker->jobs);
    fake_check(broker->jobs != NULL, "calloc");
    pthread_mutex_init(&broker->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&broker->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    broker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    fake_check(broker->wake_fd >= 0, "eventfd");
    broker->submit_as = BERTH_READY;
    static const char *const names[] = { "default", "io" };
    for (size_t i = 0; i < 2; i++) {
        struct fake_dispatcher *dispatcher = &broker->dispatchers[broker->dispatchers_count++];
        *dispatcher = (struct fake_dispatcher){ .limit_kind = i == 0 ? 3 : 4,
                                                .limit_value = i == 0 ? 0 : 64,
                                                .max_attempts = 5,
                                                .backoff_ms = 1000,
                                                .backoff_max_ms = 600000,
                                                .grace_ms = 5000,
                                                .weight = 1,
                                                .retention_ms = 604800000,
                                                .retention_count = 100000,
                                                .changed_by = "broker" };
        (void)snprintf(dispatcher->name, sizeof dispatcher->name, "%s", names[i]);
    }
    (void)snprintf(broker->url, sizeof broker->url, "tcp://127.0.0.1:%u", free_port());
    fake_broker_start(broker);
    return broker;
}

void fake_broker_start(struct fake_broker *broker)
{
    broker->context = zmq_ctx_new();
    fake_check(broker->context != NULL, "zmq_ctx_new");
    broker->router = zmq_socket(broker->context, ZMQ_ROUTER);
    fake_check(broker->router != NULL, "zmq_socket");
    int zero = 0;
    zmq_setsockopt(broker->router, ZMQ_LINGER, &zero, sizeof zero);
    fake_check(zmq_bind(broker->router, broker->url) == 0, "zmq_bind");
    broker->is_stopping = false;
    fake_check(pthread_create(&broker->thread, NULL, run, broker) == 0, "pthread_create");
}

static void waits_clear(struct fake_broker *broker)
{
    for (size_t i = 0; i < FAKE_WAITS_MAX; i++)
        free(broker->waits[i].ids);
    memset(broker->waits, 0, sizeof broker->waits);
}

void fake_broker_stop(struct fake_broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    broker->is_stopping = true;
    pthread_mutex_unlock(&broker->lock);
    fake_check(write(broker->wake_fd, &(uint64_t){ 1 }, sizeof(uint64_t)) > 0, "wake");
    pthread_join(broker->thread, NULL);
    zmq_close(broker->router);
    zmq_ctx_term(broker->context);
    broker->context = NULL;
    waits_clear(broker);
}

void fake_broker_free(struct fake_broker *broker)
{
    if (broker->context)
        fake_broker_stop(broker);
    for (size_t i = 0; i < broker->jobs_count; i++) {
        drop_slice(broker->jobs[i].body);
        drop_slice(broker->jobs[i].result);
    }
    for (size_t i = 0; i < broker->submits_count; i++)
        drop_slice(broker->submits[i].answer);
    for (size_t m = 0; m < FAKE_MESSAGES; m++)
        for (size_t i = 0; i < FAKE_SEEN_MAX; i++)
            drop_slice(broker->frames[m][i]);
    close(broker->wake_fd);
    pthread_cond_destroy(&broker->changed);
    pthread_mutex_destroy(&broker->lock);
    free(broker->jobs);
    free(broker);
}

const char *fake_broker_url(const struct fake_broker *broker)
{
    return broker->url;
}

static void add_rule(struct fake_broker *broker, struct fake_rule rule)
{
    pthread_mutex_lock(&broker->lock);
    fake_check(broker->rules_count < FAKE_SCRIPT_MAX, "too many rules");
    broker->rules[broker->rules_count++] = rule;
    pthread_mutex_unlock(&broker->lock);
}

void fake_broker_next(struct fake_broker *broker, enum fake_message message,
                      enum fake_action action, unsigned times)
{
    add_rule(broker, (struct fake_rule){ .message = message, .action = action, .times = times });
}

void fake_broker_next_error(struct fake_broker *broker, enum fake_message message, int rc,
                            const char *text, unsigned times)
{
    struct fake_rule rule = { .message = message, .action = FAKE_ERROR, .times = times, .rc = rc };
    (void)snprintf(rule.text, sizeof rule.text, "%s", text);
    add_rule(broker, rule);
}

/* What the script says to such a message, once. */
static struct fake_rule take_rule(struct fake_broker *broker, enum fake_message message)
{
    for (size_t i = 0; i < broker->rules_count; i++) {
        struct fake_rule *rule = &broker->rules[i];
        if (rule->times == 0 || (rule->message != FAKE_ANY && rule->message != message))
            continue;
        rule->times--;
        return *rule;
    }
    return (struct fake_rule){ .times = 0 };
}

static void send_frame(struct fake_broker *broker, struct berth_slice peer,
                       struct berth_slice frame)
{
    if (zmq_send(broker->router, peer.data, peer.bytes, ZMQ_SNDMORE) >= 0)
        (void)zmq_send(broker->router, frame.data, frame.bytes, 0);
}

static void send_answer(struct fake_broker *broker, struct berth_slice peer,
                        const Berth__V1__Envelope *answer, struct berth_buf *frame)
{
    berth_buf_clear(frame);
    fake_check(berth_wire_pack(answer, frame) == 0, "pack");
    send_frame(broker, peer, berth_buf_slice(frame));
}

static void send_error(struct fake_broker *broker, struct berth_slice peer, uint64_t request,
                       const struct fake_rule *rule, struct berth_buf *frame)
{
    Berth__V1__Error error;
    bool is_version = rule->action != FAKE_ERROR;
    berth_wire_error(is_version ? BERTH_EVERSION : rule->rc, NULL, rule->text, &error);
    if (is_version) {
        error.version_min = 2;
        error.version_max = 3;
    }
    Berth__V1__Envelope answer;
    berth_wire_init(&answer, request);
    if (rule->action == FAKE_VERSION_2)
        answer.version = 2;
    answer.message_case = BERTH__V1__ENVELOPE__MESSAGE_ERROR;
    answer.error = &error;
    send_answer(broker, peer, &answer, frame);
}

/* Carries a rule out. Whether the message still is to be done and answered as usual. */
static bool follow(struct fake_broker *broker, struct berth_slice peer,
                   const Berth__V1__Envelope *envelope, const struct fake_rule *rule,
                   struct berth_buf *frame)
{
    static const char garbage[] = "\xff\xfe this is no envelope at all";
    switch (rule->action) {
    case FAKE_DROP: return false;
    case FAKE_GARBAGE:
        send_frame(broker, peer, (struct berth_slice){ garbage, sizeof garbage });
        return false;
    case FAKE_OTHER: {
        Berth__V1__ClientWelcome welcome = BERTH__V1__CLIENT_WELCOME__INIT;
        welcome.has_epoch = welcome.has_frame_bytes_max = welcome.has_jobs_max = 1;
        welcome.has_body_bytes_max = 1;
        welcome.epoch = welcome.frame_bytes_max = welcome.jobs_max = welcome.body_bytes_max = 1;
        Berth__V1__Envelope answer;
        berth_wire_init(&answer, envelope->request);
        answer.message_case = BERTH__V1__ENVELOPE__MESSAGE_CLIENT_WELCOME;
        answer.client_welcome = &welcome;
        send_answer(broker, peer, &answer, frame);
        return false;
    }
    case FAKE_NO_ENDS: {
        Berth__V1__JobWaited waited = BERTH__V1__JOB_WAITED__INIT;
        Berth__V1__Envelope answer;
        berth_wire_init(&answer, envelope->request);
        answer.message_case = BERTH__V1__ENVELOPE__MESSAGE_JOB_WAITED;
        answer.job_waited = &waited;
        send_answer(broker, peer, &answer, frame);
        return false;
    }
    case FAKE_ERROR:
    case FAKE_VERSION:
    case FAKE_VERSION_2: send_error(broker, peer, envelope->request, rule, frame); return false;
    case FAKE_SWALLOW:
    case FAKE_TRUNCATE: return true;
    }
    return true;
}

static void remember(struct fake_broker *broker, enum fake_message message,
                     struct berth_slice frame, struct berth_slice peer)
{
    if (broker->seen[message] < FAKE_SEEN_MAX)
        broker->frames[message][broker->seen[message]] = fake_copy(frame);
    if (broker->seen[FAKE_ANY] == 0)
        broker->first = message;
    broker->seen[message]++;
    broker->seen[FAKE_ANY]++;
    size_t known = 0;
    while (known < broker->peers_count &&
           (peer.bytes != 16 || memcmp(broker->peers[known], peer.data, 16) != 0))
        known++;
    fake_check(peer.bytes == 16, "a routing id of 16 bytes is wanted");
    if (known == broker->peers_count && known < FAKE_PEERS_MAX)
        memcpy(broker->peers[broker->peers_count++], peer.data, 16);
    pthread_cond_broadcast(&broker->changed);
}

static void receive(struct fake_broker *broker, struct berth_slice peer, struct berth_slice frame,
                    struct berth_buf *out)
{
    struct berth_arena arena;
    berth_arena_init(&arena, ARENA_BYTES);
    Berth__V1__Envelope *envelope;
    struct berth_error err;
    int rc = berth_wire_unpack(frame, &arena, &envelope, &err);
    if (rc == 0)
        rc = berth_validate(envelope, BERTH_SIDE_BROKER, &err, NULL);
    if (rc < 0)
        (void)fprintf(stderr, "fake broker: %s\n", err.message);
    fake_check(rc == 0, "the client sent what is not allowed");

    enum fake_message message = fake_message_of(envelope);
    remember(broker, message, frame, peer);
    struct fake_rule rule = take_rule(broker, message);
    if (rule.action == 0 || follow(broker, peer, envelope, &rule, out)) {
        Berth__V1__Envelope answer;
        fake_answer(broker, envelope, peer, &answer, &arena);
        berth_buf_clear(out);
        fake_check(berth_wire_pack(&answer, out) == 0, "pack");
        struct berth_slice bytes = berth_buf_slice(out);
        if (rule.action == FAKE_TRUNCATE)
            bytes.bytes -= bytes.bytes / 4 + 1;
        if (rule.action != FAKE_SWALLOW)
            send_frame(broker, peer, bytes);
    }
    berth_arena_fini(&arena);
}

/* Tells all who wait what has changed. */
static void tell_waiters(struct fake_broker *broker, struct berth_buf *out)
{
    for (size_t i = 0; i < FAKE_WAITS_MAX; i++) {
        struct fake_wait *wait = &broker->waits[i];
        if (!wait->is_used)
            continue;
        struct berth_arena arena;
        berth_arena_init(&arena, ARENA_BYTES);
        Berth__V1__Envelope answer;
        fake_waited(broker, wait, &answer, &arena);
        send_answer(broker, (struct berth_slice){ wait->peer, wait->peer_bytes }, &answer, out);
        berth_arena_fini(&arena);
    }
}

static void *run(void *arg)
{
    struct fake_broker *broker = arg;
    struct berth_buf out;
    berth_buf_init(&out, 64u << 20);
    pthread_mutex_lock(&broker->lock);
    while (!broker->is_stopping) {
        pthread_mutex_unlock(&broker->lock);
        zmq_pollitem_t items[] = { { .socket = broker->router, .events = ZMQ_POLLIN },
                                   { .fd = broker->wake_fd, .events = ZMQ_POLLIN } };
        (void)zmq_poll(items, 2, -1);
        pthread_mutex_lock(&broker->lock);
        uint64_t wakes;
        if (read(broker->wake_fd, &wakes, sizeof wakes) > 0)
            tell_waiters(broker, &out);
        zmq_msg_t peer, frame;
        zmq_msg_init(&peer);
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&peer, broker->router, ZMQ_DONTWAIT) >= 0 &&
            zmq_msg_recv(&frame, broker->router, 0) >= 0)
            receive(broker, (struct berth_slice){ zmq_msg_data(&peer), zmq_msg_size(&peer) },
                    (struct berth_slice){ zmq_msg_data(&frame), zmq_msg_size(&frame) }, &out);
        zmq_msg_close(&peer);
        zmq_msg_close(&frame);
    }
    pthread_mutex_unlock(&broker->lock);
    berth_buf_fini(&out);
    return NULL;
}

void fake_broker_submit_as(struct fake_broker *broker, enum berth_state state)
{
    pthread_mutex_lock(&broker->lock);
    broker->submit_as = state;
    pthread_mutex_unlock(&broker->lock);
}

static struct fake_job *job_get(struct fake_broker *broker, uint64_t id)
{
    fake_check(id >= 1 && id <= broker->jobs_count, "no such job");
    return &broker->jobs[id - 1];
}

static void wake(struct fake_broker *broker)
{
    fake_check(write(broker->wake_fd, &(uint64_t){ 1 }, sizeof(uint64_t)) > 0, "wake");
}

void fake_broker_move(struct fake_broker *broker, uint64_t id, enum berth_state state)
{
    pthread_mutex_lock(&broker->lock);
    job_get(broker, id)->state = state;
    pthread_mutex_unlock(&broker->lock);
    wake(broker);
}

void fake_broker_report(struct fake_broker *broker, uint64_t id, enum berth_state state,
                        int32_t exit_code, struct berth_slice out, struct berth_slice err,
                        const char *error_kind, const char *error_message)
{
    struct berth_buf packed;
    berth_buf_init(&packed, BERTH_RESULT_BYTES_MAX);
    pthread_mutex_lock(&broker->lock);
    struct fake_job *job = job_get(broker, id);
    struct berth_result result = { .has_exit_code = true,
                                   .exit_code = exit_code,
                                   .out = out,
                                   .err = err,
                                   .out_from = job->attempt > 0 ? job->out_from : 0,
                                   .err_from = job->attempt > 0 ? job->err_from : 0 };
    fake_check(berth_result_pack(&result, &packed, NULL) == 0, "pack a result");
    drop_slice(job->result);
    job->result = fake_copy(berth_buf_slice(&packed));
    job->state = state;
    (void)snprintf(job->error_kind, sizeof job->error_kind, "%s", error_kind);
    (void)snprintf(job->error_message, sizeof job->error_message, "%s", error_message);
    pthread_mutex_unlock(&broker->lock);
    berth_buf_fini(&packed);
    wake(broker);
}

void fake_broker_write(struct fake_broker *broker, uint64_t id, uint32_t attempt, uint64_t out_from,
                       const char *out, uint64_t err_from, const char *err)
{
    pthread_mutex_lock(&broker->lock);
    struct fake_job *job = job_get(broker, id);
    job->state = BERTH_RUNNING;
    job->attempt = attempt;
    job->out_from = out_from;
    job->err_from = err_from;
    (void)snprintf(job->out, sizeof job->out, "%s", out);
    (void)snprintf(job->err, sizeof job->err, "%s", err);
    pthread_mutex_unlock(&broker->lock);
}

size_t fake_broker_seen(struct fake_broker *broker, enum fake_message message)
{
    pthread_mutex_lock(&broker->lock);
    size_t seen = broker->seen[message];
    pthread_mutex_unlock(&broker->lock);
    return seen;
}

enum fake_message fake_broker_first(struct fake_broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    enum fake_message first = broker->first;
    pthread_mutex_unlock(&broker->lock);
    return first;
}

bool fake_broker_await(struct fake_broker *broker, enum fake_message message, size_t count,
                       int64_t timeout_ms)
{
    int64_t until_ns = berth_clock_monotonic_ns() + timeout_ms * 1000000;
    struct timespec until = { .tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000 };
    pthread_mutex_lock(&broker->lock);
    int rc = 0;
    while (broker->seen[message] < count && rc == 0)
        rc = pthread_cond_timedwait(&broker->changed, &broker->lock, &until);
    bool is_there = broker->seen[message] >= count;
    pthread_mutex_unlock(&broker->lock);
    return is_there;
}

struct berth_slice fake_broker_frame(struct fake_broker *broker, enum fake_message message,
                                     size_t n)
{
    pthread_mutex_lock(&broker->lock);
    fake_check(n < broker->seen[message] && n < FAKE_SEEN_MAX, "no such frame");
    struct berth_slice frame = broker->frames[message][n];
    pthread_mutex_unlock(&broker->lock);
    return frame;
}

size_t fake_broker_jobs(struct fake_broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    size_t count = broker->jobs_count;
    pthread_mutex_unlock(&broker->lock);
    return count;
}

struct fake_job fake_broker_job(struct fake_broker *broker, uint64_t id)
{
    pthread_mutex_lock(&broker->lock);
    struct fake_job job = *job_get(broker, id);
    pthread_mutex_unlock(&broker->lock);
    return job;
}

size_t fake_broker_submits(struct fake_broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    size_t count = broker->submits_count;
    pthread_mutex_unlock(&broker->lock);
    return count;
}

size_t fake_broker_peers(struct fake_broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    size_t count = broker->peers_count;
    pthread_mutex_unlock(&broker->lock);
    return count;
}
