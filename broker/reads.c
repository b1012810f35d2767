/* SPDX-License-Identifier: MIT */
#include "reads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/list.h"

struct question {
    struct berth_list_node node;
    struct berth_read read; /* `ids` points at the ids below */
    uint64_t ids[];
};

struct reads {
    struct berth_store *store;
    struct berth_list waiting, refused;
    size_t waiting_count, count_max;
    struct berth_ended_row *rows; /* of the last event */
    size_t rows_max;
};

static void free_all(struct berth_list *list)
{
    BERTH_LIST_FOREACH_SAFE (node, list)
        free(berth_container_of(node, struct question, node));
}

struct reads *reads_new(struct berth_store *store, size_t count_max)
{
    struct reads *reads = calloc(1, sizeof *reads);
    if (!reads)
        return NULL;
    reads->store = store;
    reads->count_max = count_max;
    berth_list_init(&reads->waiting);
    berth_list_init(&reads->refused);
    return reads;
}

void reads_free(struct reads *reads)
{
    if (!reads)
        return;
    free_all(&reads->waiting);
    free_all(&reads->refused);
    free(reads->rows);
    free(reads);
}

static struct question *copy_of(const struct berth_do_read *from)
{
    struct question *question = calloc(1, sizeof *question + from->id_count * sizeof *from->ids);
    if (!question)
        return NULL;
    if (from->id_count > 0)
        memcpy(question->ids, from->ids, from->id_count * sizeof *from->ids);
    question->read = (struct berth_read){
        .number = from->number,
        .type = (enum berth_read_type)from->type,
        .ids = question->ids,
        .id_count = from->id_count,
        .scope = (enum berth_read_scope)from->scope,
        .state = from->state,
        .dispatcher = from->dispatcher,
        .after = from->after,
        .is_newest_first = from->is_newest_first,
        .with_bodies = from->with_bodies,
        .count_max = from->count_max,
    };
    return question;
}

void reads_ask(struct reads *reads, const struct berth_do_read *from)
{
    /* Without memory the question is lost, as if its asker had not been heard: it asks again. */
    struct question *question = copy_of(from);
    if (!question)
        return;
    if (reads->waiting_count >= reads->count_max) {
        berth_list_push_back(&reads->refused, &question->node);
        return;
    }
    berth_list_push_back(&reads->waiting, &question->node);
    reads->waiting_count++;
    reads_push(reads);
}

void reads_push(struct reads *reads)
{
    struct berth_list_node *node;
    while ((node = berth_list_first(&reads->waiting)) != NULL) {
        struct question *question = berth_container_of(node, struct question, node);
        int rc = berth_store_read(reads->store, &question->read);
        if (rc == -EAGAIN)
            return;
        berth_list_remove(node);
        reads->waiting_count--;
        if (rc < 0)
            berth_list_push_back(&reads->refused, node);
        else
            free(question);
    }
}

bool reads_next_refused(struct reads *reads, uint64_t *ret_number)
{
    struct berth_list_node *node = berth_list_pop_front(&reads->refused);
    if (!node)
        return false;
    struct question *question = berth_container_of(node, struct question, node);
    *ret_number = question->read.number;
    free(question);
    return true;
}

/* The store's rows in the core's words. false: no memory. */
static bool copy_rows(struct reads *reads, const struct berth_completion *completion)
{
    if (completion->count_count > reads->rows_max) {
        struct berth_ended_row *rows =
            reallocarray(reads->rows, completion->count_count, sizeof *rows);
        if (!rows)
            return false;
        reads->rows = rows;
        reads->rows_max = completion->count_count;
    }
    for (size_t i = 0; i < completion->count_count; i++) {
        const struct berth_ended_count *count = &completion->counts[i];
        reads->rows[i] = (struct berth_ended_row){
            .dispatcher = count->dispatcher,
            .completed = count->completed,
            .dead = count->dead,
            .cancelled = count->cancelled,
            .completed_total = count->completed_total,
        };
    }
    return true;
}

void reads_event(struct reads *reads, const struct berth_completion *completion,
                 struct berth_event *ret_event)
{
    bool is_well = completion->result == BERTH_STORED && copy_rows(reads, completion);
    *ret_event = (struct berth_event){
        .type = BERTH_EV_READ,
        .read = { .number = completion->number, .is_failed = !is_well },
    };
    if (!is_well)
        return;
    ret_event->read.jobs = completion->jobs;
    ret_event->read.job_count = completion->job_count;
    ret_event->read.has_more = completion->has_more;
    ret_event->read.next = completion->next;
    ret_event->read.counts = reads->rows;
    ret_event->read.count_count = completion->count_count;
}
