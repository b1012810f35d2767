/* SPDX-License-Identifier: MIT
 *
 * What no single field of a submit of children, or of its answer, says alone. The bounds of the
 * fields are tried in test_rules.c.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/wire.h"
#include "samples.h"

struct fixture {
    struct berth_arena arena;
    struct berth_buf buf;
    struct berth_error err;
    const char *field;
    enum berth_side receiver;
    Berth__V1__Envelope *envelope;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    berth_arena_init(&f->arena, BERTH_WIRE_BUDGET_MAX);
    berth_buf_init(&f->buf, BERTH_FRAME_BYTES_MAX);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    berth_arena_fini(&f->arena);
    berth_buf_fini(&f->buf);
    free(f);
    return 0;
}

/* A copy of the sample in memory that may be written. */
static Berth__V1__Envelope *given(struct fixture *f, const char *name)
{
    const struct sample *sample = sample_get(name);
    assert_ok(berth_wire_pack(&sample->envelope, &f->buf));
    assert_ok(berth_wire_unpack(berth_buf_slice(&f->buf), &f->arena, &f->envelope, &f->err));
    f->receiver = sample->receiver;
    return f->envelope;
}

static Berth__V1__ChildSubmit *given_child_submit(struct fixture *f)
{
    return given(f, "worker_reports_with_scopes")->worker_reports->child_submit[0];
}

static void assert_refused(struct fixture *f, const char *field, const char *says)
{
    assert_rc(berth_validate(f->envelope, f->receiver, &f->err, &f->field), BERTH_EPROTO);
    assert_string_equal(f->field, field);
    assert_string_equal(f->err.message, says);
}

static void children_bring_neither_client_nor_keys(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Submit *jobs = given_child_submit(f)->submit;
    uint8_t bytes[16] = { 1 };
    jobs->has_client = 1;
    jobs->client = (ProtobufCBinaryData){ sizeof bytes, bytes };
    assert_refused(f, "client",
                   "submit of children 0: client has 16 bytes; for a child or a schedule 0 are"
                   " allowed");

    jobs->has_client = 0;
    uint32_t key_bytes[] = { 3, 0 };
    jobs->n_key_bytes = 2;
    jobs->key_bytes = key_bytes;
    jobs->has_keys = 1;
    jobs->keys = (ProtobufCBinaryData){ 3, bytes };
    assert_refused(
        f, "keys",
        "submit of children 0: keys has 3 bytes; for a child or a schedule 0 are allowed");
}

static void a_submit_of_children_has_its_jobs(void **state)
{
    struct fixture *f = *state;
    given_child_submit(f)->submit = NULL;
    assert_refused(f, "submit", "submit of children 0: submit is missing");
}

static void the_last_child_too_has_an_ordinal_within_bounds(void **state)
{
    struct fixture *f = *state;
    given_child_submit(f)->ordinal = 1000000000;
    assert_refused(f, "ordinal",
                   "submit of children 0: ordinal 1000000000 of 2 children: allowed is up to"
                   " 999999999");
}

static void children_are_refused_together(void **state)
{
    struct fixture *f = *state;
    Berth__V1__Submitted *answer =
        given(f, "worker_orders_with_scopes")->worker_orders->child_submitted[1]->submitted;
    uint64_t ids[] = { 0, 7 };
    answer->n_id = 2;
    answer->id = ids;
    assert_refused(f, "refused",
                   "answer to a parent 1: refused has 1 of 2 children: allowed are none and all");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(children_bring_neither_client_nor_keys),
        TEST(a_submit_of_children_has_its_jobs),
        TEST(the_last_child_too_has_an_ordinal_within_bounds),
        TEST(children_are_refused_together),
    };
    return berth_test_main(tests, NULL, NULL);
}
