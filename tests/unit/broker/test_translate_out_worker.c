/* SPDX-License-Identifier: MIT
 *
 * Effects become frames that a worker reads and finds valid.
 */
#include "translate_fixture.h"

static struct berth_effect effect_of(enum berth_effect_type type)
{
    return (struct berth_effect){ .type = type, .peer = PEER };
}

static struct berth_slice slice(const char *text)
{
    return (struct berth_slice){ .data = text, .bytes = strlen(text) };
}

static void a_welcome_has_session_and_lease(void **state)
{
    struct fixture *f = *state;
    struct berth_effect effect = effect_of(BERTH_DO_WELCOME);
    effect.welcome = (struct berth_do_welcome){ .session = SESSION(1),
                                                .epoch = 3,
                                                .lineage = 0xabcdef0123456789,
                                                .lease_ms = 10000,
                                                .worker_lease_ms = 8500,
                                                .renew_ms = 2000,
                                                .child = 2 };
    memcpy(effect.welcome.nonce, ID16, 16);

    Berth__V1__Envelope *e = sent(f, &effect, BERTH_SIDE_WORKER);

    assert_int_equal(e->request, 0);
    const Berth__V1__WorkerWelcome *m = e->worker_welcome;
    assert_int_equal(m->session, SESSION(1));
    assert_int_equal(m->epoch, 3);
    assert_true(m->lineage == 0xabcdef0123456789);
    assert_int_equal(m->lease_ms, 10000);
    assert_int_equal(m->worker_lease_ms, 8500);
    assert_int_equal(m->renew_ms, 2000);
    assert_bytes(m->nonce, ID16);
    assert_int_equal(m->child, 2);
}

static void joins_and_renewals_are_answered(void **state)
{
    struct fixture *f = *state;
    struct berth_effect effect = effect_of(BERTH_DO_JOINED);
    effect.joined = (struct berth_do_joined){ .session = SESSION(1),
                                              .epoch = 3,
                                              .join = 2,
                                              .renewal = 9,
                                              .sent = 4,
                                              .taken = 5,
                                              .join_again = true };
    const Berth__V1__WorkerJoined *joined = sent(f, &effect, BERTH_SIDE_WORKER)->worker_joined;
    assert_int_equal(joined->session, SESSION(1));
    assert_int_equal(joined->join, 2);
    assert_int_equal(joined->renewal, 9);

    effect.type = BERTH_DO_RENEWED;
    const Berth__V1__WorkerRenewed *renewed = sent(f, &effect, BERTH_SIDE_WORKER)->worker_renewed;
    assert_int_equal(renewed->session, SESSION(1));
    assert_int_equal(renewed->epoch, 3);
    assert_int_equal(renewed->renewal, 9);
    assert_int_equal(renewed->sent, 4);
    assert_int_equal(renewed->taken, 5);
    assert_true(renewed->join_again);
    effect.joined.join_again = false;
    assert_false(sent(f, &effect, BERTH_SIDE_WORKER)->worker_renewed->join_again);
}

static void an_epoch_has_its_lineage(void **state)
{
    struct fixture *f = *state;
    struct berth_effect effect = effect_of(BERTH_DO_EPOCH);
    effect.epoch = (struct berth_do_epoch){ .epoch = 3, .lineage = 77 };
    const Berth__V1__WorkerEpoch *m = sent(f, &effect, BERTH_SIDE_WORKER)->worker_epoch;
    assert_int_equal(m->epoch, 3);
    assert_int_equal(m->lineage, 77);
}

static void fenced_and_gone_ok_say_who_by_session_or_by_child(void **state)
{
    struct fixture *f = *state;
    struct berth_effect effect = effect_of(BERTH_DO_FENCED);
    effect.fenced =
        (struct berth_do_fenced){ .session = SESSION(1), .reason = "its lease is over" };
    const Berth__V1__WorkerFenced *fenced = sent(f, &effect, BERTH_SIDE_WORKER)->worker_fenced;
    assert_int_equal(fenced->session, SESSION(1));
    assert_false(fenced->has_nonce);
    assert_bytes(fenced->reason, "its lease is over");

    effect.fenced = (struct berth_do_fenced){ .child = 4, .reason = "a newer child is known" };
    memcpy(effect.fenced.nonce, ID16, 16);
    fenced = sent(f, &effect, BERTH_SIDE_WORKER)->worker_fenced;
    assert_bytes(fenced->nonce, ID16);
    assert_int_equal(fenced->child, 4);

    effect.type = BERTH_DO_GONE_OK;
    const Berth__V1__WorkerGoneOk *ok = sent(f, &effect, BERTH_SIDE_WORKER)->worker_gone_ok;
    assert_bytes(ok->nonce, ID16);
    assert_int_equal(ok->child, 4);
    effect.fenced = (struct berth_do_fenced){ .session = SESSION(1) };
    ok = sent(f, &effect, BERTH_SIDE_WORKER)->worker_gone_ok;
    assert_int_equal(ok->session, SESSION(1));
    assert_false(ok->has_nonce);
}

static void assert_grants(const Berth__V1__WorkerOrders *m, const struct berth_order_grant *grants)
{
    assert_int_equal(m->n_grant_attempt, 3);
    assert_int_equal(m->grant_attempt[2], SESSION(3));
    assert_int_equal(m->grant_job[1], 2);
    assert_int_equal(m->n_dispatchers, 2);
    assert_int_equal(m->n_handlers, 2);
    for (size_t i = 0; i < 3; i++) {
        assert_bytes(m->dispatchers[m->grant_dispatcher[i]], grants[i].dispatcher.data);
        assert_bytes(m->handlers[m->grant_handler[i]], grants[i].handler.data);
        assert_int_equal(m->grant_number[i], grants[i].number);
        assert_int_equal(m->grant_timeout_ms[i], grants[i].timeout_ms);
        if (i < m->n_grant_deadline_ms)
            assert_int_equal(m->grant_deadline_ms[i], grants[i].deadline_ms);
        assert_int_equal(m->grant_grace_ms[i], grants[i].grace_ms);
        assert_int_equal(m->grant_body_bytes[i], grants[i].body.bytes);
    }
    assert_true(m->n_grant_deadline_ms >= 2);
    assert_bytes(m->grant_bodies, "firstthird");
}

static void orders_carry_grants_cancels_and_acknowledgements(void **state)
{
    struct fixture *f = *state;
    const struct berth_order_grant grants[] = {
        { .attempt = SESSION(1),
          .job = 1,
          .dispatcher = slice("io"),
          .handler = slice("exec"),
          .body = slice("first"),
          .number = 1,
          .grace_ms = 5000 },
        { .attempt = SESSION(2),
          .job = 2,
          .dispatcher = slice("default"),
          .handler = slice("exec"),
          .number = 3,
          .timeout_ms = 700,
          .deadline_ms = 900 },
        { .attempt = SESSION(3),
          .job = 3,
          .dispatcher = slice("io"),
          .handler = slice("mail"),
          .body = slice("third"),
          .number = 1 },
    };
    const struct berth_order_cancel cancels[] = { { .attempt = SESSION(8),
                                                    .grace_ms = 100,
                                                    .reason = BERTH_CANCEL_DEADLINE,
                                                    .is_forced = true } };
    const struct berth_order_ack acks[] = { { .attempt = SESSION(6) },
                                            { .attempt = SESSION(7), .is_stale = true } };
    struct berth_effect effect = effect_of(BERTH_DO_ORDERS);
    effect.orders = (struct berth_do_orders){
        .session = SESSION(1),
        .epoch = 3,
        .join = 2,
        .number = 5,
        .grants = grants,
        .grant_count = 3,
        .cancels = cancels,
        .cancel_count = 1,
        .acks = acks,
        .ack_count = 2,
        .start_alone = 2,
    };

    const Berth__V1__WorkerOrders *m = sent(f, &effect, BERTH_SIDE_WORKER)->worker_orders;

    assert_int_equal(m->session, SESSION(1));
    assert_int_equal(m->epoch, 3);
    assert_int_equal(m->join, 2);
    assert_int_equal(m->number, 5);
    assert_grants(m, grants);
    assert_int_equal(m->n_cancel_attempt, 1);
    assert_int_equal(m->cancel_attempt[0], SESSION(8));
    assert_int_equal(m->cancel_grace_ms[0], 100);
    assert_int_equal(m->cancel_is_forced[0], 1);
    assert_int_equal(m->cancel_reason[0], 2);
    assert_int_equal(m->n_ack_attempt, 2);
    assert_int_equal(m->ack_attempt[1], SESSION(7));
    assert_int_equal(m->ack_is_stale[0], 0);
    assert_int_equal(m->ack_is_stale[1], 1);
    assert_int_equal(m->start_alone, 2);
}

static void orders_may_hold_acknowledgements_alone(void **state)
{
    struct fixture *f = *state;
    const struct berth_order_ack ack = { .attempt = SESSION(6) };
    struct berth_effect effect = effect_of(BERTH_DO_ORDERS);
    effect.orders = (struct berth_do_orders){
        .session = SESSION(1), .epoch = 3, .join = 1, .number = 1, .acks = &ack, .ack_count = 1
    };

    const Berth__V1__WorkerOrders *m = sent(f, &effect, BERTH_SIDE_WORKER)->worker_orders;

    assert_int_equal(m->n_grant_attempt, 0);
    assert_int_equal(m->n_cancel_attempt, 0);
    assert_int_equal(m->n_ack_attempt, 1);
    assert_int_equal(m->ack_attempt[0], SESSION(6));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_welcome_has_session_and_lease),
        TEST(joins_and_renewals_are_answered),
        TEST(an_epoch_has_its_lineage),
        TEST(fenced_and_gone_ok_say_who_by_session_or_by_child),
        TEST(orders_carry_grants_cancels_and_acknowledgements),
        TEST(orders_may_hold_acknowledgements_alone),
    };
    return berth_test_main(tests, NULL, NULL);
}
