/* SPDX-License-Identifier: MIT */
/* mail.so: berth-worker --plugin ./mail.so
 *
 * The handler `mail` is plain blocking code over libcurl. Its payload is "KIND ADDRESS", for
 * example "newsletter alice@example.org". The provider's address is in $MAIL_API_URL.
 *
 * The handler `campaign` has children: so many mails, on the dispatcher of their kind, wherever
 * there is room. Its payload is "KIND COUNT", for example "newsletter 100". If it is lost half-way,
 * the next attempt finds the mails that were sent.
 */
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth/worker.h>

#define URL_BYTES     512
#define PAYLOAD_BYTES 256
#define TIMEOUT_S     10L
#define CAMPAIGN_MAX  1000
#define CAMPAIGN_AT   100          /* in one submit */
#define STACK_BYTES   (256u << 10) /* libcurl and the resolver are not thrifty */

static size_t drop(char *data, size_t size, size_t count, void *arg)
{
    (void)data;
    (void)arg;
    return size * count;
}

/* One request on a connection of its own, closed when the answer is in. The HTTP status, or -EIO
 * with the reason. */
static long post(const char *url, char reason[CURL_ERROR_SIZE])
{
    CURL *curl = curl_easy_init();
    if (!curl)
        return -ENOMEM;
    long status = 0;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    return rc == CURLE_OK ? status : -EIO;
}

/* Splits "KIND ADDRESS" in place. */
static const char *split(char *payload)
{
    char *space = strchr(payload, ' ');
    if (!space || space == payload || !space[1])
        return NULL;
    *space = '\0';
    return space + 1;
}

static int mail(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    struct berth_slice given = berth_attempt_payload(attempt);
    char payload[PAYLOAD_BYTES], url[URL_BYTES], reason[CURL_ERROR_SIZE] = "";
    if (given.bytes >= sizeof payload)
        return berth_attempt_fail_forever(attempt, "payload of %zu bytes: allowed are %zu",
                                          given.bytes, sizeof payload - 1);
    memcpy(payload, given.data, given.bytes);
    payload[given.bytes] = '\0';
    const char *to = split(payload);
    if (!to)
        return berth_attempt_fail_forever(attempt, "payload: wanted is KIND ADDRESS");
    const char *api = getenv("MAIL_API_URL");
    if (!api)
        return berth_attempt_fail(attempt, "MAIL_API_URL is not set where the worker runs");
    snprintf(url, sizeof url, "%s/send?kind=%s&to=%s&job=%" PRIu64, api, payload, to,
             berth_attempt_job(attempt).v);
    long status = post(url, reason);
    if (status < 0)
        return berth_attempt_fail(attempt, "the mail API cannot be reached: %s", reason);
    if (status != 202)
        return berth_attempt_fail(attempt, "the mail API answered %ld", status);
    return berth_attempt_result(attempt, "sent", 4);
}

/* The mails `from` to `to`: all of them are sent, or the campaign has failed. */
static int send_part(struct berth_attempt *attempt, const char *kind, int from, int to)
{
    struct berth_job_spec parts[CAMPAIGN_AT];
    berth_job_id ids[CAMPAIGN_AT];
    char payloads[CAMPAIGN_AT][PAYLOAD_BYTES];
    int count = to - from;
    for (int i = 0; i < count; i++) {
        int bytes =
            snprintf(payloads[i], sizeof payloads[i], "%s list-%d@example.org", kind, from + i);
        parts[i] = (struct berth_job_spec){ .dispatcher = kind,
                                            .handler = "mail",
                                            .payload = { payloads[i], (size_t)bytes } };
    }
    return berth_child_submit(attempt, parts, (size_t)count, ids);
}

/* What is submitted is waited for, also after the handler has returned. */
static int campaign(struct berth_attempt *attempt, void *arg)
{
    (void)arg;
    struct berth_slice given = berth_attempt_payload(attempt);
    char payload[PAYLOAD_BYTES];
    if (given.bytes >= 64)
        return berth_attempt_fail_forever(attempt, "payload: wanted is KIND COUNT");
    memcpy(payload, given.data, given.bytes);
    payload[given.bytes] = '\0';
    const char *text = split(payload);
    long count = text ? strtol(text, NULL, 10) : 0;
    if (count < 1 || count > CAMPAIGN_MAX)
        return berth_attempt_fail_forever(attempt, "payload: wanted is KIND COUNT, up to %d mails",
                                          CAMPAIGN_MAX);
    int rc = 0;
    for (int from = 0; rc >= 0 && from < count; from += CAMPAIGN_AT) {
        int to = from + CAMPAIGN_AT < count ? from + CAMPAIGN_AT : (int)count;
        rc = send_part(attempt, payload, from, to);
        berth_attempt_progress(attempt, (uint64_t)to, (uint64_t)count);
    }
    return rc;
}

static int mail_open(struct berth_worker *worker, struct berth_error *err)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return berth_fail(err, -EIO, "libcurl does not start");
    const struct berth_handler_opts opts = { .stack_bytes = STACK_BYTES };
    int rc = berth_worker_handler(worker, "mail", mail, NULL, &opts, err);
    return rc < 0 ? rc : berth_worker_handler(worker, "campaign", campaign, NULL, &opts, err);
}

static void mail_close(void)
{
    curl_global_cleanup();
}

const struct berth_plugin berth_plugin = { .abi = BERTH_PLUGIN_ABI,
                                           .bytes = sizeof(struct berth_plugin),
                                           .name = "mail",
                                           .version = "1.0",
                                           .open = mail_open,
                                           .close = mail_close };
