/* SPDX-License-Identifier: MIT
 *
 * What is proven dead stays dead, whatever it said is still under way.
 */
#include "core_fixture.h"

#include "broker/core/worker/tombstone.h"

static void a_hello_that_comes_after_the_proof_of_its_death_makes_no_session(void **state)
{
    struct fixture *f = *state;
    struct worker *w = new_worker(f, 4);
    gone(f, w, BERTH_GONE_SIGNAL); /* overtook it */

    hello(f, w);
    assert_int_equal(get_to(f, BERTH_DO_FENCED, w->peer)->fenced.child, w->child);
    store_all(f);
    assert_null(find(f, BERTH_DO_WELCOME));

    w->child++;
    given_joined(f, w);
    gone(f, w, BERTH_GONE_SIGNAL);
    store_all(f);
    forget(f);
    hello(f, w); /* a copy */
    assert_non_null(find_to(f, BERTH_DO_FENCED, w->peer));
}

static void the_proof_of_its_death_ends_another_session_of_the_child_as_well(void **state)
{
    struct fixture *f = *state;
    struct worker *w = given_worker(f, 4);
    uint64_t first = w->session;
    turn_after(f, L_MS); /* its lease runs out */
    store_all(f);
    hello(f, w); /* a late copy */
    store_all(f);
    assert_non_null(find(f, BERTH_DO_WELCOME));
    uint64_t second = get(f, BERTH_DO_WELCOME)->welcome.session;
    assert_int_not_equal(second, first);

    gone(f, w, BERTH_GONE_LEASE); /* of the first one, as its keeper knows it */

    w->session = second;
    assert_int_equal(session_of(f, w)->state, SESSION_CLOSING);
}

static void the_oldest_dead_are_forgotten(void **state)
{
    struct fixture *f = *state;
    const uint8_t nonce[16] = { 1 };
    for (uint32_t child = 1; child <= 16385; child++)
        tombstone_put(f->core, nonce, child);

    assert_false(tombstone_is_there(f->core, nonce, 1));
    assert_true(tombstone_is_there(f->core, nonce, 2));
    assert_true(tombstone_is_there(f->core, nonce, 16385));
    assert_false(tombstone_is_there(f->core, (const uint8_t[16]){ 2 }, 2));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, core_setup, core_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_hello_that_comes_after_the_proof_of_its_death_makes_no_session),
        TEST(the_proof_of_its_death_ends_another_session_of_the_child_as_well),
        TEST(the_oldest_dead_are_forgotten),
    };
    return berth_test_main(tests, NULL, NULL);
}
