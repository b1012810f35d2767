/* SPDX-License-Identifier: MIT */
/* What is measured from outside: a broker and a worker with the plugin of bench_plugin.c, in a
 * temporary folder under $TMPDIR (/tmp), and a client. What goes wrong ends the program; all is
 * tidied up when it ends.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <berth/admin.h>
#include <berth/client.h>

#define SITE_CALL_MS       60000
#define SITE_PAYLOAD_BYTES 100
#define SITE_BATCH_JOBS    1000 /* of one call, at the most */
#define SITE_CAPACITY      "1024"

/* Once. */
struct berth_client *site_begin(void);
_Noreturn void site_die(const char *what, const struct berth_error *err);
const char *site_dir(void);
pid_t site_broker(void);

int64_t site_now_ns(void);
double site_seconds_since(int64_t start_ns);

/* So many jobs in one call; `group` NULL: none. */
void site_submit(struct berth_client *client, const char *dispatcher, const char *handler,
                 const char *group, size_t count);
void site_set_limit(struct berth_client *client, const char *name, enum berth_limit_kind kind,
                    uint32_t value);
/* Until so many jobs of the dispatcher have ended, since it is there. */
void site_await_done(struct berth_client *client, const char *name, uint64_t total);
