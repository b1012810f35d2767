/* SPDX-License-Identifier: MIT
 *
 * How coroutines are called, by people (names) and by the recorder (numbers).
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "symbol.h"
#include "tree.h"

#define IDS_AT_ONCE 1024 /* a thread takes so many, so that threads do not meet at one counter */

static atomic_uint_fast64_t ids_end = 1;

uint64_t weft_task_id_new(struct weft_thread *thread)
{
    if (!thread)
        return atomic_fetch_add_explicit(&ids_end, 1, memory_order_relaxed);
    if (thread->id_next == thread->id_end) {
        thread->id_next = atomic_fetch_add_explicit(&ids_end, IDS_AT_ONCE, memory_order_relaxed);
        thread->id_end = thread->id_next + IDS_AT_ONCE;
    }
    return thread->id_next++;
}

uint64_t weft_task_ids_end(void)
{
    return atomic_load(&ids_end);
}

const char *weft_fn_name(weft_fn given, char *buffer)
{
    Dl_info info = { 0 };
    void *fn;
    memcpy(&fn, &given, sizeof fn);
    int is_found = dladdr(fn, &info);
    if (is_found && info.dli_sname && info.dli_saddr == fn)
        return info.dli_sname;
    const char *file = is_found && info.dli_fname ? info.dli_fname : "?";
    const char *slash = strrchr(file, '/');
    size_t offset = is_found ? (size_t)((char *)fn - (char *)info.dli_fbase) : (size_t)fn;
    (void)snprintf(buffer, WEFT_NAME_BYTES, "%.64s+0x%zx", slash ? slash + 1 : file, offset);
    return buffer;
}

const char *weft_fn_name_search(weft_fn given, char *buffer)
{
    void *fn;
    memcpy(&fn, &given, sizeof fn);
    const char *name = weft_fn_name(given, buffer);
    return name == buffer && weft_symbol_find(fn, buffer, WEFT_NAME_BYTES) ? buffer : name;
}

const char *weft_task_name(const struct weft_task *task, char *buffer)
{
    return task->has_name ? task->name : weft_fn_name(task->fn, buffer);
}

const char *weft_task_name_search(const struct weft_task *task, char *buffer)
{
    return task->has_name ? task->name : weft_fn_name_search(task->fn, buffer);
}
