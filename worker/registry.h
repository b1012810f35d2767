/* SPDX-License-Identifier: MIT */
/* The handlers that a worker offers: name -> function. Filled before the worker runs, then only
 * read. */
#pragma once

#include <berth/worker.h>

#include "base/text.h"

#define REGISTRY_HANDLERS_MAX 255    /* and exec: as many as a hello may hold */
#define REGISTRY_EXEC         "exec" /* the name under which commands are offered */

struct registry_entry {
    char name[BERTH_NAME_BYTES_MAX + 1];
    berth_handler_fn fn;
    void *arg;
    struct weft_dispatcher *on; /* NULL: weft_io() */
    size_t stack_bytes;
};

/* All zero is empty. Must not be moved: names point into it. */
struct registry {
    struct registry_entry entries[REGISTRY_HANDLERS_MAX];
    size_t count;
};

/* As berth_worker_handler(). */
int registry_add(struct registry *registry, const char *name, berth_handler_fn fn, void *arg,
                 const struct berth_handler_opts *opts, struct berth_error *err);

/* NULL: not offered. */
const struct registry_entry *registry_find(const struct registry *registry,
                                           struct berth_slice name);
