/* SPDX-License-Identifier: MIT */
/* Shared objects that bring handlers; see plugin.h. */
#include "worker/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN_SYMBOL "berth_plugin"

struct plugin {
    void *library;
    const struct berth_plugin *about;
};

/* dlopen() would look for a bare name where the system's libraries are. */
static int path_resolve(const char *path, char ret_path[static PATH_MAX], struct berth_error *err)
{
    int bytes = snprintf(ret_path, PATH_MAX, "%s%s", strchr(path, '/') ? "" : "./", path);
    if (bytes < 0 || bytes >= PATH_MAX)
        return berth_fail(err, -ENAMETOOLONG, "plugin '%.64s...'", path);
    if (access(ret_path, R_OK) < 0)
        return berth_fail(err, -errno, "plugin '%s'", path);
    return 0;
}

static int about_check(const char *path, const struct berth_plugin *about, struct berth_error *err)
{
    if (!about)
        return berth_fail(err, BERTH_EVALUE, "plugin '%s' is none: it has no symbol " PLUGIN_SYMBOL,
                          path);
    if (about->abi != BERTH_PLUGIN_ABI)
        return berth_fail(
            err, BERTH_EVALUE,
            "plugin '%s' was built for version %u of the plugin interface: allowed is "
            "%u",
            path, about->abi, BERTH_PLUGIN_ABI);
    if (about->bytes != sizeof *about)
        return berth_fail(err, BERTH_EVALUE,
                          "plugin '%s' says that its description has %u bytes: allowed is %zu",
                          path, about->bytes, sizeof *about);
    if (!about->open)
        return berth_fail(err, BERTH_EVALUE, "plugin '%s' has no open function", path);
    return 0;
}

int plugin_open(const char *path, struct berth_worker *worker, struct plugin **ret_plugin,
                struct berth_error *err)
{
    char resolved[PATH_MAX];
    int rc = path_resolve(path, resolved, err);
    if (rc < 0)
        return rc;
    struct plugin *plugin = calloc(1, sizeof *plugin);
    if (!plugin)
        return berth_fail(err, -ENOMEM, "plugin '%s'", path);
    plugin->library = dlopen(resolved, RTLD_NOW | RTLD_LOCAL);
    if (!plugin->library) {
        rc = berth_fail(err, BERTH_EVALUE, "plugin: %s", dlerror());
        free(plugin);
        return rc;
    }
    plugin->about = dlsym(plugin->library, PLUGIN_SYMBOL);
    rc = about_check(path, plugin->about, err);
    if (rc >= 0) {
        rc = plugin->about->open(worker, err);
        if (rc < 0)
            rc = berth_fail_wrap(err, rc, "plugin '%s'", path);
    }
    if (rc < 0) {
        (void)dlclose(plugin->library);
        free(plugin);
        return rc;
    }
    *ret_plugin = plugin;
    return 0;
}

void plugin_close(struct plugin *plugin)
{
    if (!plugin)
        return;
    if (plugin->about->close)
        plugin->about->close();
    free(plugin);
}

const struct berth_plugin *plugin_about(const struct plugin *plugin)
{
    return plugin->about;
}
