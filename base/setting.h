/* SPDX-License-Identifier: MIT
 *
 * A setting: one row that says what a flag on the command line, a variable of the environment and a
 * key of a file have in common. Every setting has one name, "max_attempts", which is spelled
 * "--max-attempts" on the command line.
 *
 * A table of settings fills a struct of the caller's: each row names a member by its offset. Tables
 * are constant.
 *
 *     struct opts { const char *broker; int64_t timeout_ms; bool is_json; };
 *     static const struct berth_setting settings[] = {
 *         { .name = "broker", .type = BERTH_SETTING_URL, .offset = offsetof(struct opts, broker),
 * .value = "URL", .env = "BERTH_URL", .help = "the broker to talk to" }, { .name = "timeout", .type
 * = BERTH_SETTING_DURATION, .offset = offsetof(struct opts, timeout_ms), .min = 0, .max = 86400000,
 * .value = "TIME", .help = "give up after TIME" }, { .name = "json", .type = BERTH_SETTING_FLAG,
 * .offset = offsetof(struct opts, is_json), .help = "..." },
 *     };
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/error.h>

#define BERTH_SETTINGS_MAX  64 /* rows of one table */
#define BERTH_TEXT_LIST_MAX 64 /* values of one repeatable option */

enum berth_setting_type { /* the member's type; what is accepted */
                          BERTH_SETTING_FLAG =
                              1, /* bool; no value on the command line, yes or no in a file */
                          BERTH_SETTING_TEXT, /* const char *; anything */
                          BERTH_SETTING_LIST, /* struct berth_text_list; may be given several times
                                               */
                          BERTH_SETTING_NAME, /* const char *; berth_name_check */
                          BERTH_SETTING_KEY,  /* const char *; berth_key_check */
                          BERTH_SETTING_URL,  /* const char *; berth_endpoint_parse */
                          BERTH_SETTING_U64,  /* uint64_t; min .. max */
                          BERTH_SETTING_I64,  /* int64_t; min .. max */
                          BERTH_SETTING_DURATION, /* int64_t, milliseconds; min .. max in
                                                     milliseconds */
                          BERTH_SETTING_BYTES,    /* uint64_t; min .. max in bytes */
                          BERTH_SETTING_CHOICE,   /* int; the index of the word in `choices` */
};

struct berth_text_list {
    const char *items[BERTH_TEXT_LIST_MAX]; /* borrowed */
    size_t count;
};

struct berth_setting {
    const char *name; /* "max_attempts" */
    char letter;      /* 'd' for -d; 0: none */
    enum berth_setting_type type;
    size_t offset;
    int64_t min, max;           /* for numbers; max 0: no maximum but the type's */
    bool has_none;              /* for I64 and DURATION: "none" says 0 */
    const char *const *choices; /* for CHOICE: words, ended by NULL */
    const char *value;          /* what the help calls the value: "N", "URL" */
    const char *help;           /* a phrase without a full stop; NULL: not shown in the help */
    const char *env;            /* "BERTH_URL"; NULL: none. Not for LIST */
    /* A further check of the text, after the type's own; NULL: none. BERTH_EVALUE with a sentence.
     */
    int (*check)(const char *what, const char *text, struct berth_error *err);
};

/* Checks `text` and writes it to the member of `target`. `what` names it in messages ("--limit",
 * "limit"). Texts are borrowed: they must outlive `target`. Returns 0, or BERTH_EVALUE with a
 * sentence and nothing written. */
int berth_setting_apply(const struct berth_setting *setting, const char *what, const char *text,
                        void *target, struct berth_error *err);

/* "--max-attempts" for "max_attempts", in a caller's buffer; cut if it is too small. Returns
 * `flag`. */
#define BERTH_FLAG_TEXT_MAX 48
const char *berth_setting_flag(const struct berth_setting *setting,
                               char flag[static BERTH_FLAG_TEXT_MAX]);
