/* SPDX-License-Identifier: MIT
 *
 * A submit of children when memory runs out.
 */
#include "support/faulty.h"

#include "scope_fixture.h"

/* Two children, of which the second needs a dispatcher's lane of its own. */
static void send_two(struct fixture *f, const struct worker *w, uint64_t parent)
{
    const struct berth_slice names[] = { text("default"), text("other") }, handler = text("mail");
    const struct berth_submit_item items[] = {
        { .dispatcher = 0, .body = text("one") },
        { .dispatcher = 1, .body = text("two"), .group = text("g"), .deadline_ms = 1000 },
    };
    const struct berth_child_submit submit = { .attempt = attempt_of(f, parent),
                                               .job = parent,
                                               .ordinal = 1,
                                               .jobs = { .dispatchers = names,
                                                         .dispatcher_count = 2,
                                                         .handlers = &handler,
                                                         .handler_count = 1,
                                                         .items = items,
                                                         .count = 2 } };
    struct berth_event event = { .type = BERTH_EV_REPORTS,
                                 .now_ms = f->now_ms,
                                 .wall_us = f->wall_us,
                                 .reports = { .peer = w->peer,
                                              .session = w->session,
                                              .epoch = w->epoch,
                                              .join = w->join,
                                              .number = w->reported + 1,
                                              .child_submits = &submit,
                                              .child_submit_count = 1 } };
    (void)berth_core_step(f->core, &event);
}

static void whatever_allocation_fails_all_children_are_taken_or_none(void **state)
{
    struct fixture *f = *state;
    bool has_failed = true;
    unsigned rounds = 0, refused = 0;
    while (has_failed) {
        core_replace(f, (struct berth_core_opts){ 0 });
        core_start(f);
        given_dispatcher(f, "other", 5);
        struct worker *w = given_worker(f, 8);
        uint64_t parent = given_running(f, (struct submit){ 0 });

        faulty_fail_at(++rounds);
        send_two(f, w, parent);
        has_failed = faulty_stop();
        w->reported++;
        berth_core_check(f->core);

        uint64_t used = f->core->jobs.used;
        store_all(f);
        const struct berth_order_children *children = children_of(f, parent, 1);
        bool is_taken = children && children->count == 2;
        assert_int_equal(used, is_taken ? 3 : 1);
        assert_true(is_taken || has_failed);
        refused += !is_taken;
        if (is_taken)
            continue;
        assert_int_equal(berth_map_count(&f->core->scopes), 0);
        if (children)
            assert_int_equal(children->refusal.code, BERTH_EFULL);
        else
            assert_true(session_of(f, w)->shall_join_again);
    }
    assert_true(refused > 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whatever_allocation_fails_all_children_are_taken_or_none),
    };
    return berth_test_main(tests, NULL, NULL);
}
