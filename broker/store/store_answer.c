/* SPDX-License-Identifier: MIT */
/* Building answers to reads. */
#include "broker/store/store_answer.h"

#include <errno.h>

#include "base/assert.h"

void store_answer_init(struct store_answer *answer)
{
    *answer = (struct store_answer){ .job_count = 0 };
    berth_arena_init(&answer->arena, SIZE_MAX);
}

void store_answer_fini(struct store_answer *answer)
{
    berth_arena_fini(&answer->arena);
    store_answer_init(answer);
}

int store_answer_reserve(struct store_answer *answer, size_t job_max)
{
    BERTH_ASSERT(!answer->jobs);
    answer->jobs = berth_arena_alloc_array(&answer->arena, job_max, sizeof *answer->jobs);
    if (!answer->jobs)
        return -ENOMEM;
    answer->job_max = job_max;
    return 0;
}

/* Replaces what `slice` borrows by a copy. */
static bool own(struct store_answer *answer, struct berth_slice *slice)
{
    if (!slice->data)
        return true;
    slice->data = berth_arena_memdup(&answer->arena, slice->data, slice->bytes);
    return slice->data != NULL;
}

bool store_answer_is_full(const struct store_answer *answer)
{
    return answer->is_full;
}

/* Leaves body and result out if they do not fit any more; from the first that does not, all are
 * left out. */
static void leave_out(struct store_answer *answer, struct berth_job_record *job)
{
    uint64_t bytes = (job->body.data ? job->body.bytes : 0) +
                     (job->last.result.data ? job->last.result.bytes : 0);
    uint64_t left = BERTH_STORE_READ_BYTES_MAX - answer->copied_bytes;
    if (bytes <= left && !answer->is_full) {
        answer->copied_bytes += bytes;
        return;
    }
    answer->is_full = true;
    if (answer->job_count == 0)
        return;
    answer->has_more = true;
    job->body.data = NULL;
    job->last.result.data = NULL;
}

int store_answer_add(struct store_answer *answer, const struct berth_job_record *job)
{
    BERTH_ASSERT(answer->job_count < answer->job_max);
    struct berth_job_record copy = *job;
    leave_out(answer, &copy);
    if (!own(answer, &copy.handler) || !own(answer, &copy.key.bytes) || !own(answer, &copy.body) ||
        !own(answer, &copy.last.worker) || !own(answer, &copy.last.result) ||
        !own(answer, &copy.last.error_kind) || !own(answer, &copy.last.error_message) ||
        !own(answer, &copy.group) || !own(answer, &copy.unique) || !own(answer, &copy.after))
        return -ENOMEM;
    answer->jobs[answer->job_count++] = copy;
    return 0;
}

int store_answer_reserve_counts(struct store_answer *answer, size_t count)
{
    BERTH_ASSERT(!answer->counts);
    answer->counts = berth_arena_alloc_array(&answer->arena, count, sizeof *answer->counts);
    return answer->counts ? 0 : -ENOMEM;
}

void store_answer_lend(const struct store_answer *answer, struct berth_completion *completion)
{
    completion->jobs = answer->jobs;
    completion->job_count = answer->job_count;
    completion->has_more = answer->has_more;
    completion->next = answer->next;
    completion->counts = answer->counts;
    completion->count_count = answer->count_count;
}
