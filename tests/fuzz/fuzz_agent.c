/* SPDX-License-Identifier: MIT
 *
 * Any frames from a broker, through translation into the agent: taken or ignored, never worse, and
 * the agent's invariants hold after each. Input: frames, each behind its length in two bytes (low
 * first) and one byte of time that passes before it, in hundredths of a second.
 */
#include <stdint.h>

#include "base/assert.h"
#include "worker/core/agent.h"
#include "worker/net/translate.h"

#define HEAD_BYTES   3
#define CAPACITY     16
#define ATTEMPTS_MAX 64 /* with those that wait */
#define TIME_UNIT_MS 10
#define EPOCH        5
#define SESSION      ((UINT64_C(5) << 40) | 9)

static const char *const handlers[] = { "mail" };

static const struct agent_opts opts = { .nonce = { 3 },
                                        .child = 4,
                                        .name = "w",
                                        .handlers = handlers,
                                        .handler_count = 1,
                                        .capacity = CAPACITY,
                                        .suspended_max = ATTEMPTS_MAX - CAPACITY,
                                        .cores = 1 };

struct run {
    struct agent *agent;
    int64_t now_ms;
    struct berth_arena in, out;
    struct berth_buf frame;
};

static void step(struct run *run, struct agent_event *event);

/* What an attempt does as soon as it has started: ends, waits with a child, ends with a child that
 * lives, or just runs. */
static void behave(struct run *run, uint64_t attempt)
{
    struct agent_event end = { .type = AGENT_EV_ENDED,
                               .ended = { attempt, { .outcome = AGENT_COMPLETED } } };
    struct agent_event children = {
        .type = AGENT_EV_CHILDREN,
        .children = { .attempt = attempt, .ordinal = 1, .submit = { "submit", 6 } }
    };
    struct agent_event suspend = { .type = AGENT_EV_SUSPEND, .suspend = { attempt } };
    struct agent_event resume_me = { .type = AGENT_EV_RESUME_ME, .resume_me = { attempt } };
    switch (attempt % 4) {
    case 0: step(run, &end); break;
    case 1:
        step(run, &children);
        step(run, &suspend);
        step(run, &resume_me);
        break;
    case 2:
        step(run, &children);
        step(run, &end);
        break;
    }
}

/* What is sent can be packed. */
static void carry_out(struct run *run, const struct agent_effects *effects)
{
    uint64_t started[ATTEMPTS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < effects->count; i++) {
        const struct agent_effect *effect = &effects->items[i];
        if (effect->type <= AGENT_DO_REPORTS) {
            berth_buf_clear(&run->frame);
            berth_arena_reset(&run->out);
            int rc = translate_out(effect, &opts, &run->out, &run->frame, NULL);
            BERTH_ASSERT(rc == 0);
        }
        if (effect->type == AGENT_DO_START) {
            BERTH_ASSERT(count < ATTEMPTS_MAX);
            started[count++] = effect->start.attempt;
        }
    }
    for (size_t i = 0; i < count; i++)
        behave(run, started[i]);
}

static void step(struct run *run, struct agent_event *event)
{
    struct agent_effects effects;
    event->now_ms = run->now_ms;
    int rc = agent_step(run->agent, event, &effects);
    BERTH_ASSERT(rc == 0);
    agent_check(run->agent);
    carry_out(run, &effects);
}

static void join(struct run *run)
{
    struct agent_event start = { .type = AGENT_EV_START };
    struct agent_event epoch = { .type = AGENT_EV_EPOCH, .epoch = { EPOCH, 7 } };
    struct agent_event welcome = {
        .type = AGENT_EV_WELCOME,
        .welcome = { SESSION, 7, EPOCH, 10000, 8500, 2000, { 3 }, 4 },
    };
    step(run, &start);
    step(run, &epoch);
    step(run, &welcome);
}

static void hear(struct run *run, struct berth_slice frame)
{
    struct heard heard;
    berth_arena_reset(&run->in);
    if (translate_in(frame, &run->in, &heard, NULL) >= 0 && heard.kind == HEARD_EVENT)
        step(run, &heard.event);
    struct agent_event timer = { .type = AGENT_EV_TIMER };
    if (run->now_ms >= agent_next_deadline_ms(run->agent))
        step(run, &timer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct run run = { .agent = agent_new(&opts), .now_ms = 1000 };
    BERTH_ASSERT(run.agent);
    berth_arena_init(&run.in, TRANSLATE_ARENA_BYTES_MAX);
    berth_arena_init(&run.out, TRANSLATE_ARENA_BYTES_MAX);
    berth_buf_init(&run.frame, 16u << 20);
    join(&run);
    while (bytes >= HEAD_BYTES) {
        size_t frame_bytes = data[0] | (size_t)data[1] << 8;
        run.now_ms += (int64_t)data[2] * TIME_UNIT_MS;
        data += HEAD_BYTES;
        bytes -= HEAD_BYTES;
        if (frame_bytes > bytes)
            frame_bytes = bytes;
        hear(&run, (struct berth_slice){ data, frame_bytes });
        data += frame_bytes;
        bytes -= frame_bytes;
    }
    agent_free(run.agent);
    berth_arena_fini(&run.in);
    berth_arena_fini(&run.out);
    berth_buf_fini(&run.frame);
    return 0;
}
