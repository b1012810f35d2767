/* SPDX-License-Identifier: MIT */
/* The handlers that a worker offers; see registry.h. */
#include "worker/registry.h"

#include <errno.h>
#include <string.h>

static int opts_check(const char *name, const struct berth_handler_opts *opts,
                      struct berth_error *err)
{
    for (size_t i = 0; i < sizeof opts->reserved / sizeof opts->reserved[0]; i++) {
        if (opts->reserved[i] != 0)
            return berth_fail(err, -EINVAL, "handler '%s': reserved[%zu] is not 0", name, i);
    }
    bool has_size = opts->stack_bytes != 0;
    if (has_size &&
        (opts->stack_bytes < WEFT_STACK_BYTES_MIN || opts->stack_bytes > WEFT_STACK_BYTES_MAX))
        return berth_fail(err, -EINVAL, "handler '%s': stack_bytes %zu: allowed is %zu to %zu",
                          name, opts->stack_bytes, WEFT_STACK_BYTES_MIN, WEFT_STACK_BYTES_MAX);
    return 0;
}

int registry_add(struct registry *registry, const char *name, berth_handler_fn fn, void *arg,
                 const struct berth_handler_opts *opts, struct berth_error *err)
{
    static const struct berth_handler_opts defaults;
    if (!opts)
        opts = &defaults;
    int rc = berth_name_check("handler", name, err);
    if (rc < 0)
        return rc;
    if (strcmp(name, REGISTRY_EXEC) == 0)
        return berth_fail(err, BERTH_EVALUE, "handler 'exec': the name is for commands");
    if (!fn)
        return berth_fail(err, -EINVAL, "handler '%s' has no function", name);
    rc = opts_check(name, opts, err);
    if (rc < 0)
        return rc;
    if (registry_find(registry, berth_slice_of(name)))
        return berth_fail(err, -EEXIST, "handler '%s' is registered twice", name);
    if (registry->count == REGISTRY_HANDLERS_MAX)
        return berth_fail(err, BERTH_EFULL, "handler '%s': a worker offers %d at most", name,
                          REGISTRY_HANDLERS_MAX);

    struct registry_entry *entry = &registry->entries[registry->count++];
    *entry = (struct registry_entry){
        .fn = fn, .arg = arg, .on = opts->on, .stack_bytes = opts->stack_bytes
    };
    memcpy(entry->name, name, strlen(name));
    return 0;
}

const struct registry_entry *registry_find(const struct registry *registry, struct berth_slice name)
{
    for (size_t i = 0; i < registry->count; i++) {
        if (berth_slice_is_equal(berth_slice_of(registry->entries[i].name), name))
            return &registry->entries[i];
    }
    return NULL;
}
