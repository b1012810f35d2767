/* SPDX-License-Identifier: MIT */
#include "slots_fixture.h"

#include <stdlib.h>

#include "support/await.h"

int slots_setup(void **state)
{
    return slots_setup_with(state, SLOTS_CAPACITY);
}

int slots_setup_with(void **state, uint32_t attempts_max)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->registry = calloc(1, sizeof *f->registry);
    berth_list_init(&f->items);
    const struct fence_birth birth = { .child = 1 };
    if (fence_new(&birth, &f->fence, NULL) < 0 || inbox_open(&f->inbox, NULL) < 0)
        return -1;
    const struct slots_opts opts = { .attempts_max = attempts_max,
                                     .registry = f->registry,
                                     .inbox = f->inbox,
                                     .fence = f->fence,
                                     .is_exec_allowed = true,
                                     .work_dir = "/tmp" };
    *state = f;
    return slots_open(&opts, &f->slots, NULL);
}

int slots_teardown(void **state)
{
    struct fixture *f = *state;
    slots_close(f->slots);
    inbox_close(f->inbox);
    fence_free(f->fence);
    free(f->registry);
    free(f);
    return weft_shutdown();
}

void given_handler(struct fixture *f, const char *name, berth_handler_fn fn, void *arg)
{
    assert_ok(registry_add(f->registry, name, fn, arg, NULL, NULL));
}

static void start_grant(struct fixture *f, struct agent_grant grant, const struct berth_body *body)
{
    struct berth_buf packed;
    berth_buf_init(&packed, BERTH_BODY_BYTES_MAX);
    assert_ok(berth_body_pack(body, &packed, NULL));
    grant.body = berth_buf_slice(&packed);
    slots_start(f->slots, &grant);
    berth_buf_fini(&packed); /* what is needed of it was copied */
}

static struct agent_grant grant_of(uint64_t id, const char *handler)
{
    return (struct agent_grant){ .attempt = id,
                                 .job = 100 + id,
                                 .dispatcher = { "newsletter", 10 },
                                 .handler = berth_slice_of(handler),
                                 .number = 3 };
}

void start_body(struct fixture *f, uint64_t id, const char *handler, const struct berth_body *body)
{
    start_grant(f, grant_of(id, handler), body);
}

void start_with_clocks(struct fixture *f, uint64_t id, const char *handler, int64_t timeout_ms,
                       int64_t deadline_ms)
{
    struct agent_grant grant = grant_of(id, handler);
    grant.timeout_ms = timeout_ms;
    grant.deadline_ms = deadline_ms;
    start_grant(f, grant, &(struct berth_body){ .payload = berth_slice_of("") });
}

void start(struct fixture *f, uint64_t id, const char *handler, const char *payload)
{
    const struct berth_body body = { .payload = berth_slice_of(payload) };
    start_body(f, id, handler, &body);
}

struct inbox_item *await_item(struct fixture *f)
{
    assert_null(f->item);
    while (berth_list_is_empty(&f->items)) {
        assert_true(await_readable(inbox_fd(f->inbox), AWAIT_MS));
        (void)inbox_take(f->inbox, &f->items);
    }
    struct berth_list_node *node = berth_list_pop_front(&f->items);
    f->item = berth_container_of(node, struct inbox_item, node);
    return f->item;
}

const struct agent_end *await_end(struct fixture *f, uint64_t *ret_id)
{
    const struct inbox_item *item = await_item(f);
    assert_int_equal(item->release_reason, 0);
    if (ret_id)
        *ret_id = item->attempt;
    return &item->end;
}

static bool is_tidy(void *slots)
{
    return !slots_tidy(slots);
}

void finish(struct fixture *f)
{
    assert_non_null(f->item);
    slots_finish(f->slots, f->item);
    f->item = NULL;
    assert_true(await(is_tidy, f->slots, AWAIT_MS));
}

static void assert_slice(struct berth_slice slice, const char *text)
{
    if (!berth_slice_is_equal(slice, berth_slice_of(text)))
        fail_msg("'%.*s' is not '%s'", (int)slice.bytes, (const char *)slice.data, text);
}

void assert_end(const struct agent_end *end, enum agent_outcome outcome, const char *kind,
                const char *message)
{
    assert_int_equal(end->outcome, outcome);
    assert_slice(end->error_kind, kind);
    assert_slice(end->error_message, message);
}

void assert_result(const struct agent_end *end, const char *payload)
{
    struct berth_arena arena;
    struct berth_result result;
    berth_arena_init(&arena, 1 << 20);
    assert_ok(berth_result_unpack(end->result, &arena, &result, NULL));
    assert_slice(result.payload, payload);
    berth_arena_fini(&arena);
}

size_t fenced_count(struct fixture *f)
{
    struct fence_attempt attempts[SLOTS_CAPACITY + 1];
    return fence_attempts(f->fence, attempts, SLOTS_CAPACITY + 1);
}
