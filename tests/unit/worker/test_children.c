/* SPDX-License-Identifier: MIT
 *
 * How children are described to the broker, which must be able to take it.
 */
#include <berth/v1/envelope.pb-c.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "client/children.h"
#include "proto/body.h"
#include "support/berthtest.h"
#include "support/faulty.h"

static const struct berth_field inherited[] = { { "tenant", "acme" }, { "traceparent", "00-ab" } };

struct fixture {
    struct berth_buf submit;
    struct berth_arena arena;
    struct berth_error err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    berth_buf_init(&f->submit, 1u << 20);
    berth_arena_init(&f->arena, 8u << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    berth_buf_fini(&f->submit);
    berth_arena_fini(&f->arena);
    free(f);
    return 0;
}

static int pack(struct fixture *f, const struct berth_job_spec *specs, size_t count)
{
    berth_buf_clear(&f->submit);
    return berth_child_pack(specs, count, inherited, 2, &f->submit, &f->err);
}

static const Berth__V1__Submit *unpacked(struct fixture *f)
{
    Berth__V1__Submit *submit =
        berth__v1__submit__unpack(NULL, f->submit.bytes, (const uint8_t *)f->submit.data);
    assert_non_null(submit);
    return submit;
}

static void done(const Berth__V1__Submit *submit)
{
    union {
        const Berth__V1__Submit *theirs;
        Berth__V1__Submit *ours;
    } both = { .theirs = submit };
    berth__v1__submit__free_unpacked(both.ours, NULL);
}

static void children_are_packed_without_client_and_keys(void **state)
{
    struct fixture *f = *state;
    const struct berth_job_spec specs[] = { { .dispatcher = "newsletter", .handler = "mail" },
                                            { .handler = "mail", .priority = 5 } };

    assert_int_equal(pack(f, specs, 2), 0);

    const Berth__V1__Submit *submit = unpacked(f);
    assert_int_equal(submit->n_body_bytes, 2);
    assert_int_equal(submit->n_dispatchers, 2);
    assert_int_equal(submit->priority[1], 5);
    assert_false(submit->has_client);
    assert_false(submit->has_keys);
    assert_int_equal(submit->n_key_bytes, 0);
    done(submit);
}

/* The body of the first child. */
static struct berth_body body_of(struct fixture *f, const Berth__V1__Submit *submit)
{
    struct berth_body body;
    struct berth_slice bytes = { submit->bodies.data, submit->body_bytes[0] };
    assert_int_equal(berth_body_unpack(bytes, &f->arena, &body, NULL), 0);
    return body;
}

static void a_child_inherits_the_context_but_for_what_it_has_itself(void **state)
{
    struct fixture *f = *state;
    const struct berth_field own[] = { { "tenant", "other" } };
    const struct berth_job_spec spec = { .handler = "mail", .context = own, .context_count = 1 };

    assert_int_equal(pack(f, &spec, 1), 0);

    const Berth__V1__Submit *submit = unpacked(f);
    struct berth_body body = body_of(f, submit);
    assert_int_equal(body.context_count, 2);
    assert_string_equal(body.context[0].key, "tenant");
    assert_string_equal(body.context[0].value, "other");
    assert_string_equal(body.context[1].key, "traceparent");
    done(submit);
}

static void what_is_malformed_is_named(void **state)
{
    static const struct berth_field no_value[] = { { "k", NULL } };
    static const struct {
        struct berth_job_spec spec;
        int rc;
        const char *part;
    } rows[] = {
        { { .handler = "mail", .idempotency_key = "k" }, BERTH_EVALUE, "child 1: idempotency_key" },
        { { .handler = "not a name" }, BERTH_EVALUE, "child 1: handler" },
        { { .handler = "mail", .priority = 101 }, BERTH_EVALUE, "child 1: priority 101" },
        { { 0 }, BERTH_EVALUE, "child 1: a job has either a handler or a command" },
        { { .handler = "mail", .context = no_value, .context_count = 1 },
          BERTH_EVALUE,
          "child 1: context: field 0" },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct berth_job_spec specs[] = { { .handler = "mail" }, rows[i].spec };
        assert_int_equal(pack(f, specs, 2), rows[i].rc);
        assert_non_null(strstr(f->err.message, rows[i].part));
    }
    assert_int_equal(pack(f, &rows[0].spec, 0), -E2BIG);
}

static void more_than_the_buffer_takes_is_refused_as_a_whole(void **state)
{
    static char payload[600 << 10];
    struct fixture *f = *state;
    const struct berth_job_spec specs[] = {
        { .handler = "mail", .payload = { payload, sizeof payload } },
        { .handler = "mail", .payload = { payload, sizeof payload } }
    };
    assert_int_equal(pack(f, specs, 1), 0);

    assert_int_equal(pack(f, specs, 2), -EMSGSIZE);
}

static void out_of_memory_is_an_answer_at_each_allocation(void **state)
{
    struct fixture *f = *state;
    const struct berth_job_spec spec = { .handler = "mail" };
    FAULTY_FOREACH(n)
    {
        int rc = pack(f, &spec, 1);
        bool has_failed = faulty_stop();
        assert_int_equal(rc, has_failed ? -ENOMEM : 0);
        berth_buf_fini(&f->submit);
        berth_buf_init(&f->submit, 1u << 20);
    }
}

static void a_frame_that_is_no_job_is_refused(void **state)
{
    struct fixture *f = *state;
    struct berth_job *job = NULL;
    struct berth_slice nonsense = { "\xff\xff", 2 };

    assert_int_equal(berth_child_read(nonsense, (berth_job_id){ 7 }, &job, &f->err), BERTH_EPROTO);

    assert_null(job);
}

int main(void)
{
#define CHILDREN_TEST(fact) cmocka_unit_test_setup_teardown(fact, setup, teardown)
    const struct CMUnitTest tests[] = {
        CHILDREN_TEST(children_are_packed_without_client_and_keys),
        CHILDREN_TEST(a_child_inherits_the_context_but_for_what_it_has_itself),
        CHILDREN_TEST(what_is_malformed_is_named),
        CHILDREN_TEST(more_than_the_buffer_takes_is_refused_as_a_whole),
        CHILDREN_TEST(out_of_memory_is_an_answer_at_each_allocation),
        CHILDREN_TEST(a_frame_that_is_no_job_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
