/* SPDX-License-Identifier: MIT */
/* The options that describe a job, for every command that has one submitted. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "cli/cli.h"

struct job_opts {
    const char *dispatcher, *handler, *payload, *payload_file;
    uint64_t max_attempts;
    const char *group, *unique;
    int64_t timeout_ms, priority, delay_ms, queue_timeout_ms, deadline_ms, backoff_ms,
        backoff_ms_max;
    int on_conflict;
    struct berth_text_list context;
};

/* What the options say in other words. */
struct job_parts {
    struct berth_field context[BERTH_TEXT_LIST_MAX];
    char *keys[BERTH_TEXT_LIST_MAX]; /* of the context; owned */
    struct berth_buf payload;        /* of a file */
};

/* The usage: CLI_OK, or says what is wrong. */
int job_opts_check(const struct berth_args *args, const struct job_opts *opts);
/* Whether one of them was given at all. */
bool job_opts_are_given(const struct berth_args *args);
/* CLI_OK, or says why not. `parts`, all zero, are the caller's to end, whatever is returned. */
int job_opts_spec(struct cli *cli, const struct job_opts *opts, struct job_parts *parts,
                  struct berth_job_spec *ret_spec);
void job_parts_fini(struct job_parts *parts);

/* Reads all of a file; `-` is stdin. CLI_OK, or says why not. */
int job_read_file(struct cli *cli, const char *option, const char *path, const char *size_max,
                  struct berth_buf *ret_buf);

int job_context_check(const char *what, const char *text, struct berth_error *err);
extern const char *const job_conflicts[];

/* The rows of a table of settings whose target is a TYPE with a `struct job_opts` at BASE. */
#define JOB_SETTING(name_, type_, offset_, value_, help_, ...)                                     \
    {                                                                                              \
        .name = (name_), .type = BERTH_SETTING_##type_, .offset = (offset_), .value = (value_),    \
        .help = (help_), __VA_ARGS__                                                               \
    }
#define JOB_DURATION(name_, offset_, help_)                                                        \
    JOB_SETTING(name_, DURATION, offset_, "TIME", help_, .min = 1, .max = CLI_DURATION_MS_MAX)

#define JOB_SETTINGS(TYPE, BASE)                                                                   \
    JOB_SETTING("dispatcher", NAME, offsetof(TYPE, BASE.dispatcher), "NAME",                       \
                "the dispatcher whose limit counts (default: default)", .letter = 'd'),            \
        JOB_SETTING("handler", NAME, offsetof(TYPE, BASE.handler), "NAME",                         \
                    "run this handler of a worker's plugin, not a command"),                       \
        JOB_SETTING("payload", TEXT, offsetof(TYPE, BASE.payload), "TEXT",                         \
                    "what the handler gets, or the command reads on stdin"),                       \
        JOB_SETTING("payload_file", TEXT, offsetof(TYPE, BASE.payload_file), "FILE",               \
                    "the same from a file; - is stdin"),                                           \
        JOB_SETTING("max_attempts", U64, offsetof(TYPE, BASE.max_attempts), "N",                   \
                    "failed attempts before the job is dead (default: the dispatcher's)",          \
                    .min = 1, .max = CLI_MAX_ATTEMPTS_MAX),                                        \
        JOB_DURATION("timeout", offsetof(TYPE, BASE.timeout_ms),                                   \
                     "of one attempt (default: the dispatcher's)"),                                \
        JOB_SETTING("group", KEY, offsetof(TYPE, BASE.group), "GROUP",                             \
                    "count it in this group of its dispatcher"),                                   \
        JOB_DURATION("delay", offsetof(TYPE, BASE.delay_ms), "not before that much later"),        \
        JOB_SETTING("priority", I64, offsetof(TYPE, BASE.priority), "N",                           \
                    "-100 to 100, higher first (default 0)", .min = -100, .max = 100),             \
        JOB_DURATION("queue_timeout", offsetof(TYPE, BASE.queue_timeout_ms),                       \
                     "ready at most so long (default: the dispatcher's)"),                         \
        JOB_DURATION("deadline", offsetof(TYPE, BASE.deadline_ms),                                 \
                     "to its end, from its submit on (default: the dispatcher's)"),                \
        JOB_DURATION("backoff", offsetof(TYPE, BASE.backoff_ms),                                   \
                     "before the second attempt (default: the dispatcher's)"),                     \
        JOB_DURATION("backoff_max", offsetof(TYPE, BASE.backoff_ms_max),                           \
                     "the longest backoff (default: the dispatcher's)"),                           \
        JOB_SETTING("context", LIST, offsetof(TYPE, BASE.context), "KEY=VALUE",                    \
                    "a field that goes with it", .check = job_context_check),                      \
        JOB_SETTING("unique", KEY, offsetof(TYPE, BASE.unique), "KEY",                             \
                    "only one live job may have this key"),                                        \
        JOB_SETTING("on_conflict", CHOICE, offsetof(TYPE, BASE.on_conflict), "reject|existing",    \
                    "when there is one: fail, or print its id (default reject)",                   \
                    .choices = job_conflicts)
