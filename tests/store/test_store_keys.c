/* SPDX-License-Identifier: MIT */
/* Which keys of children a store remembers: those that an attempt of the parent may ask for. Run
 * once for each backend. */
#include "support/berthtest.h"

#include "contract.h"
#include "support/await.h"

#define HOUR_US INT64_C(3600000000)

static void store_one(struct fixture *f, struct berth_record record)
{
    struct berth_batch *batch = kit_batch(&f->kit);
    put(f, batch, &record);
    kit_store(&f->kit, batch);
}

static void given_child(struct fixture *f, uint64_t id, uint64_t parent)
{
    struct berth_record record = kit_job(id, 1, kit_text("x"));
    record.job.parent = parent;
    record.job.parent_ordinal = 1;
    record.job.key = (struct berth_key){ .kind = BERTH_KEY_CHILD,
                                         .bytes = kit_bytes(&f->kit, 16, id),
                                         .until_us = f->kit.wall_us + HOUR_US };
    store_one(f, record);
}

static void end(struct fixture *f, uint64_t id, enum berth_state state)
{
    store_one(f, kit_end(id, model_find(&f->model, id)->dispatcher, state, f->kit.wall_us));
}

/* Of the children, and of their parents. */
static void given_dispatchers(struct fixture *f)
{
    store_one(f, kit_dispatcher(1, "children"));
    store_one(f, kit_dispatcher(2, "parents"));
}

static int count_key(void *arg, const struct berth_job_record *record)
{
    size_t *count = arg;
    *count += record->key.kind == BERTH_KEY_CHILD;
    return 0;
}

static int ignore_dispatcher(void *arg, const struct berth_dispatcher_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static int ignore_session(void *arg, const struct berth_session_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

static int ignore_job(void *arg, const struct berth_job_record *record)
{
    (void)arg;
    (void)record;
    return 0;
}

/* As loaded, which is as the model says. */
static size_t loaded_keys(struct fixture *f)
{
    size_t count = 0;
    then_load_is_as_the_model(f);
    kit_reopen(&f->kit);
    struct berth_store_visitor visitor = { .arg = &count,
                                           .dispatcher = ignore_dispatcher,
                                           .session = ignore_session,
                                           .job = ignore_job,
                                           .ended_key = count_key };
    struct berth_error error = { .code = 0 };
    assert_int_equal(berth_store_load(f->kit.store, &visitor, &error), 0);
    return count;
}

static void keys_of_children_are_loaded_if_they_completed(void **state)
{
    struct fixture *f = *state;
    given_dispatchers(f);
    store_one(f, kit_job(1, 2, kit_text("parent")));
    for (uint64_t id = 2; id <= 4; id++)
        given_child(f, id, 1);
    end(f, 2, BERTH_DEAD); /* a child that failed is made anew under the same key */
    end(f, 3, BERTH_COMPLETED);
    end(f, 4, BERTH_CANCELLED);
    assert_int_equal(loaded_keys(f), 1);
}

static void they_are_loaded_until_their_parent_has_completed(void **state)
{
    struct fixture *f = *state;
    given_dispatchers(f);
    for (uint64_t parent = 1; parent <= 3; parent++)
        store_one(f, kit_job(parent, 2, kit_text("parent")));
    for (uint64_t id = 4; id <= 9; id++) {
        given_child(f, id, id / 2 - 1);
        end(f, id, BERTH_COMPLETED);
    }
    assert_int_equal(loaded_keys(f), 6);

    end(f, 1, BERTH_COMPLETED);
    end(f, 2, BERTH_DEAD); /* these two may be retried */
    end(f, 3, BERTH_CANCELLED);
    assert_int_equal(loaded_keys(f), 4);

    store_one(f, (struct berth_record){ .type = BERTH_RECORD_REVIVE, .revive = { .id = 2 } });
    assert_int_equal(loaded_keys(f), 4);
    end(f, 2, BERTH_COMPLETED);
    assert_int_equal(loaded_keys(f), 2);
}

static void nobody_asks_for_children_of_what_cannot_be_retried(void **state)
{
    struct fixture *f = *state;
    given_dispatchers(f);
    store_one(f, kit_dispatcher(3, "goes"));
    store_one(f, kit_job(1, 2, kit_text("discarded")));
    store_one(f, kit_job(2, 3, kit_text("removed")));
    for (uint64_t id = 3; id <= 4; id++) {
        given_child(f, id, id - 2);
        end(f, id, BERTH_COMPLETED);
        end(f, id - 2, BERTH_DEAD);
    }
    assert_int_equal(loaded_keys(f), 2);

    store_one(f, (struct berth_record){ .type = BERTH_RECORD_DISCARD, .id = 1 });
    assert_int_equal(loaded_keys(f), 1);
    store_one(f, (struct berth_record){ .type = BERTH_RECORD_DISPATCHER_END, .id = 3 });
    assert_int_equal(loaded_keys(f), 0);
}

/* It was somebody's child in its first life alone. */
static void a_child_that_was_retried_is_found_by_nobody(void **state)
{
    struct fixture *f = *state;
    given_dispatchers(f);
    store_one(f, kit_job(1, 2, kit_text("parent")));
    given_child(f, 2, 1);
    end(f, 2, BERTH_DEAD);
    store_one(f, (struct berth_record){ .type = BERTH_RECORD_REVIVE, .revive = { .id = 2 } });
    end(f, 2, BERTH_COMPLETED);
    assert_int_equal(loaded_keys(f), 0);
}

/* ---- beyond the child's row ---- */

static bool is_forgotten(void *arg)
{
    struct fixture *f = arg;
    const uint64_t id = 2;
    struct berth_read read = { .type = BERTH_READ_JOBS, .ids = &id, .id_count = 1 };
    return kit_read(&f->kit, &read).job_count == 0;
}

static void a_key_outlives_its_row_while_its_parent_lives(void **state)
{
    struct fixture *f = *state;
    given_dispatchers(f);
    struct berth_record few = kit_dispatcher(1, "children");
    few.dispatcher.retention_ms = INT64_C(604800000);
    few.dispatcher.retention_count = 1;
    store_one(f, few);
    store_one(f, kit_job(1, 2, kit_text("parent")));
    given_child(f, 2, 1);
    end(f, 2, BERTH_COMPLETED);
    store_one(f, kit_job(3, 1, kit_text("x")));
    end(f, 3, BERTH_COMPLETED);
    assert_true(await(is_forgotten, f, KIT_WAIT_MS));
    model_keep(&f->model, 1, 1);
    assert_int_equal(loaded_keys(f), 1);

    end(f, 1, BERTH_COMPLETED);
    assert_int_equal(loaded_keys(f), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_of_children_are_loaded_if_they_completed),
        TEST(they_are_loaded_until_their_parent_has_completed),
        TEST(nobody_asks_for_children_of_what_cannot_be_retried),
        TEST(a_child_that_was_retried_is_found_by_nobody),
        TEST(a_key_outlives_its_row_while_its_parent_lives),
    };
    return contract_main(tests, sizeof tests / sizeof *tests);
}
