/* SPDX-License-Identifier: MIT */
/* An attempt's children, and its being suspended; see family.h. */
#include "worker/family.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "client/children.h"
#include "proto/limits.h"

struct child {
    struct berth_map_node by_id;
    enum berth_state state; /* 0: it has not ended */
};

/* A submit that waits for its answer. */
struct submit {
    struct berth_list_node node;
    uint32_t ordinal;
    size_t count;
    struct child **children; /* made before anything is sent; those that are needed are taken out */
    berth_job_id *ids;
    struct weft_completion done;
    struct berth_error *err;
};

/* Somebody waits for the end of a child. */
struct wait {
    struct berth_list_node node;
    uint64_t id;
    struct weft_completion done;
};

/* The fields of the calling coroutine, the nearest of each key. */
struct context {
    struct berth_field fields[WEFT_FIELDS_MAX];
    size_t count;
};

void family_init(struct family *family, uint64_t attempt, struct inbox *inbox, struct asks *asks)
{
    *family = (struct family){ .attempt = attempt, .inbox = inbox, .asks = asks };
    BERTH_ASSERT(pthread_mutex_init(&family->lock, NULL) == 0);
    berth_list_init(&family->submits);
    berth_list_init(&family->waits);
}

void family_fini(struct family *family)
{
    BERTH_ASSERT(berth_list_is_empty(&family->submits));
    BERTH_ASSERT(berth_list_is_empty(&family->waits));
    BERTH_MAP_FOREACH (node, &family->children) {
        berth_map_remove(&family->children, node);
        free(berth_container_of(node, struct child, by_id));
    }
    berth_map_fini(&family->children);
    (void)pthread_mutex_destroy(&family->lock);
}

/* ---- suspended ---- */

void family_enter(struct family *family)
{
    int rc = weft_mutex_lock(&family->own, 0);
    BERTH_ASSERT(rc == 0 || rc == -ECANCELED);
}

static bool is_own(struct family *family)
{
    return weft_mutex_lock(&family->own, 0) == -EDEADLK;
}

void family_leave(struct family *family)
{
    if (is_own(family))
        weft_mutex_unlock(&family->own);
}

/* Waits to the end, whatever is cancelled meanwhile. */
static int wait_through(struct weft_completion *completion)
{
    struct weft_scope shield;
    weft_shield_open(&shield, INT64_MAX);
    int rc = weft_completion_wait(completion, WEFT_NEVER);
    (void)weft_scope_close(&shield, 0);
    return rc;
}

static void set_resumed(struct family *family, struct weft_completion *resumed)
{
    (void)pthread_mutex_lock(&family->lock);
    family->resumed = resumed;
    (void)pthread_mutex_unlock(&family->lock);
}

/* Waits, and is suspended meanwhile if the caller is the handler itself: what else the attempt has
 * running would run on. */
static int wait_suspended(struct family *family, struct weft_completion *what, int64_t deadline_ns)
{
    if (!family->inbox || !is_own(family))
        return weft_completion_wait(what, deadline_ns);
    struct inbox_item suspend = { .kind = INBOX_SUSPEND, .attempt = family->attempt };
    struct inbox_item resume_me = { .kind = INBOX_RESUME_ME, .attempt = family->attempt };
    struct weft_completion resumed = { 0 };
    set_resumed(family, &resumed);
    inbox_push(family->inbox, &suspend);
    int rc = weft_completion_wait(what, deadline_ns);
    inbox_push(family->inbox, &resume_me);
    (void)wait_through(&resumed);
    return rc;
}

void family_resume(struct family *family)
{
    (void)pthread_mutex_lock(&family->lock);
    struct weft_completion *resumed = family->resumed;
    family->resumed = NULL;
    (void)pthread_mutex_unlock(&family->lock);
    if (resumed)
        (void)weft_completion_set(resumed, 0);
}

int family_sleep(struct family *family, int64_t ms)
{
    struct weft_completion never = { 0 };
    int rc = weft_check();
    if (rc < 0 || ms <= 0)
        return rc;
    rc = wait_suspended(family, &never, weft_deadline_ms(ms));
    return rc == -ETIMEDOUT ? 0 : rc;
}

/* ---- submit ---- */

void family_supervise(struct family *family)
{
    (void)pthread_mutex_lock(&family->lock);
    if (family->ordinal == 0)
        family->is_supervisor = true;
    (void)pthread_mutex_unlock(&family->lock);
}

static void add_field(void *arg, const char *key, const char *value)
{
    struct context *context = arg;
    for (size_t i = 0; i < context->count; i++)
        if (strcmp(context->fields[i].key, key) == 0)
            return;
    if (context->count < WEFT_FIELDS_MAX)
        context->fields[context->count++] = (struct berth_field){ key, value };
}

static void children_free(struct child **children, size_t count)
{
    for (size_t i = 0; children && i < count; i++)
        free(children[i]);
    free(children);
}

static struct child **children_new(size_t count)
{
    struct child **children = calloc(count, sizeof *children);
    for (size_t i = 0; children && i < count; i++) {
        children[i] = calloc(1, sizeof *children[i]);
        if (children[i])
            continue;
        children_free(children, i);
        return NULL;
    }
    return children;
}

/* Takes its place among the children. 0 or -E2BIG. */
static int enlist(struct family *family, struct submit *submit, bool *ret_is_supervisor)
{
    (void)pthread_mutex_lock(&family->lock);
    bool has_room = submit->count <= BERTH_CHILD_ORDINAL_MAX - family->ordinal;
    if (has_room) {
        submit->ordinal = family->ordinal + 1;
        family->ordinal += (uint32_t)submit->count;
        *ret_is_supervisor = family->is_supervisor;
        berth_list_push_back(&family->submits, &submit->node);
    }
    (void)pthread_mutex_unlock(&family->lock);
    return has_room ? 0 : -E2BIG;
}

static int send(struct family *family, struct submit *submit, struct berth_slice packed)
{
    bool is_supervisor = false;
    int rc = enlist(family, submit, &is_supervisor);
    if (rc < 0)
        return berth_fail(submit->err, rc, "submit %zu children: a job has %u at most",
                          submit->count, (unsigned)BERTH_CHILD_ORDINAL_MAX);
    struct inbox_item item = { .kind = INBOX_CHILDREN,
                               .attempt = family->attempt,
                               .children = { .attempt = family->attempt,
                                             .ordinal = submit->ordinal,
                                             .is_supervisor = is_supervisor,
                                             .submit = packed } };
    inbox_push(family->inbox, &item);
    return wait_through(&submit->done);
}

/* Whether the caller can wait at all. */
static int check_caller(const struct family *family, struct berth_error *err)
{
    if (!family->inbox)
        return berth_fail(err, -ENOTSUP, "there is no broker that takes children");
    if (!weft_current())
        return berth_fail(err, -EPERM, "children are submitted and awaited in coroutines");
    int rc = weft_check();
    return rc < 0 ? berth_fail(err, rc, "the attempt is to end") : 0;
}

int family_submit(struct family *family, const struct berth_job_spec *specs, size_t count,
                  berth_job_id *ret_ids, struct berth_error *err)
{
    int rc = check_caller(family, err);
    if (rc < 0)
        return rc;
    BERTH_AUTO_MEM struct context *context = calloc(1, sizeof *context);
    if (!context)
        return berth_fail(err, -ENOMEM, "submit %zu children", count);
    weft_field_each(add_field, context);
    struct berth_buf packed;
    berth_buf_init(&packed, AGENT_SUBMIT_BYTES_MAX);
    rc = berth_child_pack(specs, count, context->fields, context->count, &packed, err);
    if (rc >= 0) {
        struct submit submit = { .count = count, .ids = ret_ids, .err = err };
        submit.children = children_new(count);
        rc = submit.children ? send(family, &submit, berth_buf_slice(&packed))
                             : berth_fail(err, -ENOMEM, "submit %zu children", count);
        children_free(submit.children, count);
    }
    berth_buf_fini(&packed);
    return rc;
}

/* With the lock held. */
static int take_ids(struct family *family, struct submit *submit,
                    const struct agent_submitted *answer)
{
    if (answer->count != submit->count) {
        struct berth_slice why = answer->message;
        if (answer->count > 0 || answer->code >= 0)
            return berth_fail(submit->err, BERTH_EPROTO, "%zu children are answered with %zu ids",
                              submit->count, answer->count);
        return berth_fail(submit->err, answer->code, "%.*s", (int)why.bytes,
                          why.bytes > 0 ? (const char *)why.data : "");
    }
    for (size_t i = 0; i < submit->count; i++) {
        submit->ids[i].v = answer->ids[i];
        int rc =
            berth_map_insert_id(&family->children, &submit->children[i]->by_id, answer->ids[i]);
        if (rc == 0)
            submit->children[i] = NULL; /* the map's */
        else if (rc != -EEXIST)
            return berth_fail(submit->err, rc, "submit %zu children", submit->count);
    }
    return 0;
}

void family_submitted(struct family *family, const struct agent_submitted *answer)
{
    struct submit *submit = NULL;
    int rc = 0;
    (void)pthread_mutex_lock(&family->lock);
    BERTH_LIST_FOREACH (node, &family->submits) {
        struct submit *other = berth_container_of(node, struct submit, node);
        if (other->ordinal == answer->ordinal)
            submit = other;
    }
    if (submit) {
        berth_list_remove(&submit->node);
        rc = take_ids(family, submit, answer);
    }
    (void)pthread_mutex_unlock(&family->lock);
    if (submit)
        (void)weft_completion_set(&submit->done, rc);
}

/* ---- await ---- */

static const struct child *child_find(const struct family *family, uint64_t id)
{
    struct berth_map_node *node = berth_map_find_id(&family->children, id);
    return node ? berth_container_of(node, struct child, by_id) : NULL;
}

/* 1: it has not ended, and `wait` has its place; 0: it has; BERTH_ENOTFOUND: it is no child. */
static int wait_begin(struct family *family, struct wait *wait, enum berth_state *ret_state)
{
    (void)pthread_mutex_lock(&family->lock);
    const struct child *child = child_find(family, wait->id);
    int rc = !child ? BERTH_ENOTFOUND : child->state == 0;
    if (rc > 0)
        berth_list_push_back(&family->waits, &wait->node);
    else if (rc == 0)
        *ret_state = child->state;
    (void)pthread_mutex_unlock(&family->lock);
    return rc;
}

static void wait_end(struct family *family, struct wait *wait, enum berth_state *ret_state)
{
    (void)pthread_mutex_lock(&family->lock);
    if (berth_list_is_linked(&wait->node))
        berth_list_remove(&wait->node);
    *ret_state = child_find(family, wait->id)->state;
    (void)pthread_mutex_unlock(&family->lock);
}

void family_child_ended(struct family *family, const struct agent_child_end *end)
{
    (void)pthread_mutex_lock(&family->lock);
    struct berth_map_node *found = berth_map_find_id(&family->children, end->job);
    if (found)
        berth_container_of(found, struct child, by_id)->state = end->state;
    /* Set under the lock: who waits cannot be gone before. */
    BERTH_LIST_FOREACH_SAFE (node, &family->waits) {
        struct wait *wait = berth_container_of(node, struct wait, node);
        if (wait->id != end->job)
            continue;
        berth_list_remove(node);
        (void)weft_completion_set(&wait->done, 0);
    }
    (void)pthread_mutex_unlock(&family->lock);
}

static int rc_of(enum berth_state state)
{
    return state == BERTH_COMPLETED ? 0 : state == BERTH_CANCELLED ? WEFT_ECHILD : -EREMOTEIO;
}

int family_await(struct family *family, berth_job_id id, struct berth_job **ret_job)
{
    enum berth_state state = 0;
    struct wait wait = { .id = id.v };
    int rc = check_caller(family, NULL);
    if (rc >= 0)
        rc = wait_begin(family, &wait, &state);
    if (rc > 0) {
        rc = wait_suspended(family, &wait.done, WEFT_NEVER);
        wait_end(family, &wait, &state);
    }
    if (rc >= 0 && ret_job)
        rc = asks_run(family->asks, id, ret_job, NULL);
    return rc < 0 ? rc : rc_of(state);
}
