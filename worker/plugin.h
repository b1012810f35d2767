/* SPDX-License-Identifier: MIT */
/* Shared objects that bring handlers. */
#pragma once

#include <berth/worker.h>

struct plugin;

/* Loads `path` and calls its open. On failure nothing of it stays, and its close is not called.
 * BERTH_EVALUE: no shared object, no plugin, or one for another version. */
int plugin_open(const char *path, struct berth_worker *worker, struct plugin **ret_plugin,
                struct berth_error *err);

/* Calls its close. The code stays mapped: threads of the runtime may still be on their way out of
 * it. NULL is fine. */
void plugin_close(struct plugin *plugin);

/* Borrowed for the plugin's life. */
const struct berth_plugin *plugin_about(const struct plugin *plugin);
