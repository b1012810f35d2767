/* SPDX-License-Identifier: MIT */
#include "scope_fixture.h"

#define CHILDREN_MAX 8

static void send_children(struct fixture *f, struct worker *w, struct berth_child_submit submit,
                          const struct submit *items, size_t count)
{
    struct berth_slice dispatchers[CHILDREN_MAX], handlers[CHILDREN_MAX];
    struct berth_submit_item jobs[CHILDREN_MAX];
    assert_true(count <= CHILDREN_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct submit *item = &items[i];
        dispatchers[i] = text(item->dispatcher ? item->dispatcher : "default");
        handlers[i] = text(item->handler ? item->handler : "mail");
        jobs[i] = (struct berth_submit_item){ .dispatcher = (uint32_t)i,
                                              .handler = (uint32_t)i,
                                              .delay_ms = item->delay_ms,
                                              .max_attempts = item->max_attempts,
                                              .deadline_ms = item->deadline_ms,
                                              .group = text(item->group ? item->group : ""),
                                              .unique = text(item->unique ? item->unique : ""),
                                              .on_conflict = item->on_conflict,
                                              .after = item->after,
                                              .after_count = item->after_count,
                                              .body = text(item->body ? item->body : "body") };
    }
    submit.jobs = (struct berth_ev_submit){ .dispatchers = dispatchers,
                                            .dispatcher_count = count,
                                            .handlers = handlers,
                                            .handler_count = count,
                                            .items = jobs,
                                            .count = count };
    send_reports(f, w,
                 (struct berth_ev_reports){ .child_submits = &submit, .child_submit_count = 1 });
}

void submit_children_of(struct fixture *f, struct worker *w, uint64_t parent, uint32_t ordinal,
                        const struct submit *items, size_t count)
{
    const struct berth_child_submit submit = { .attempt = attempt_of(f, parent),
                                               .job = parent,
                                               .ordinal = ordinal };
    send_children(f, w, submit, items, count);
}

void submit_supervised(struct fixture *f, struct worker *w, uint64_t parent, uint32_t ordinal,
                       const struct submit *items, size_t count)
{
    const struct berth_child_submit submit = {
        .attempt = attempt_of(f, parent), .job = parent, .ordinal = ordinal, .is_supervisor = true
    };
    send_children(f, w, submit, items, count);
}

const struct berth_order_children *children_of(const struct fixture *f, uint64_t parent,
                                               uint32_t ordinal)
{
    uint64_t attempt = attempt_of(f, parent);
    for (size_t i = f->said_count; i-- > 0;) {
        const struct berth_do_orders *orders = &f->said[i].orders;
        for (size_t j = 0; f->said[i].type == BERTH_DO_ORDERS && j < orders->children_count; j++)
            if (orders->children[j].attempt == attempt && orders->children[j].ordinal == ordinal)
                return &orders->children[j];
    }
    return NULL;
}

uint64_t given_child(struct fixture *f, struct worker *w, uint64_t parent, uint32_t ordinal,
                     struct submit item)
{
    submit_children_of(f, w, parent, ordinal, &item, 1);
    store_all(f);
    const struct berth_order_children *children = children_of(f, parent, ordinal);
    assert_non_null(children);
    assert_int_equal(children->refusal.code, 0);
    assert_int_equal(children->count, 1);
    return children->ids[0];
}

static const struct berth_order_child_end *newest_end(const struct fixture *f, uint64_t child,
                                                      size_t *ret_count)
{
    const struct berth_order_child_end *newest = NULL;
    *ret_count = 0;
    for (size_t i = 0; i < f->said_count; i++) {
        const struct berth_do_orders *orders = &f->said[i].orders;
        for (size_t j = 0; f->said[i].type == BERTH_DO_ORDERS && j < orders->child_end_count; j++) {
            if (orders->child_ends[j].job != child)
                continue;
            newest = &orders->child_ends[j];
            (*ret_count)++;
        }
    }
    return newest;
}

const struct berth_order_child_end *child_end_of(const struct fixture *f, uint64_t child)
{
    size_t count;
    return newest_end(f, child, &count);
}

size_t child_ends_of(const struct fixture *f, uint64_t child)
{
    size_t count;
    (void)newest_end(f, child, &count);
    return count;
}

void suspend_attempt(struct fixture *f, struct worker *w, uint64_t job, uint32_t number)
{
    const struct berth_suspension suspension = { attempt_of(f, job), number };
    send_reports(f, w, (struct berth_ev_reports){ .suspends = &suspension, .suspend_count = 1 });
}

void ask_to_resume(struct fixture *f, struct worker *w, uint64_t job, uint32_t number)
{
    const struct berth_suspension suspension = { attempt_of(f, job), number };
    send_reports(f, w, (struct berth_ev_reports){ .resumes = &suspension, .resume_count = 1 });
}

size_t resumes_of(const struct fixture *f, uint64_t job)
{
    uint64_t attempt = attempt_of(f, job);
    size_t count = 0;
    for (size_t i = 0; i < f->said_count; i++) {
        const struct berth_do_orders *orders = &f->said[i].orders;
        for (size_t j = 0; f->said[i].type == BERTH_DO_ORDERS && j < orders->resume_count; j++)
            count += orders->resumes[j].attempt == attempt;
    }
    return count;
}

void given_holding(struct fixture *f, const char *name, uint32_t limit, enum berth_hold hold,
                   const char *parent)
{
    set(f,
        (struct berth_ev_dispatcher_set){ .has_limit = true,
                                          .limit = { BERTH_LIMIT_NUMBER, limit },
                                          .has_hold = true,
                                          .hold = hold,
                                          .has_backoff = true,
                                          .has_parent = parent != NULL,
                                          .parent = text(parent ? parent : "") },
        name);
    store_all(f);
}

const struct submit one_child = { .body = "one" };

const struct berth_end_record *end_away(const struct fixture *f, uint64_t job)
{
    const struct berth_record *record = record_away(f, BERTH_RECORD_END, job);
    return record ? &record->end : NULL;
}

void fail_for_good(struct fixture *f, struct worker *w, uint64_t job)
{
    report_end(f, w, attempt_of(f, job), job,
               (struct berth_attempt_end){ .outcome = BERTH_OUTCOME_FAILED_FOREVER,
                                           .error_kind = text("handler"),
                                           .error_message = text("it cannot be done") });
}

struct worker *given_room(struct fixture *f)
{
    set_limit(f, "default", 100);
    store_all(f);
    return given_worker(f, 8);
}

struct berth_do_status status_of(struct fixture *f)
{
    uint64_t request = query(f, BERTH_EV_STATUS, "");
    answer_read(f, NULL, 0);
    return answer(f, request, BERTH_DO_STATUS)->status;
}
