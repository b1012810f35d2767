/* SPDX-License-Identifier: MIT */
/* What berth-worker was told: command line over environment over file over default. */
#pragma once

#include "base/args.h"
#include "base/conf.h"

/* Texts are borrowed from argv, the environment and `conf`. */
struct options {
    const char *broker;
    const char *name;                 /* NULL: HOSTNAME-PID */
    uint64_t capacity, suspended_max; /* suspended_max 0: the worker's default */
    struct berth_text_list plugins;
    bool is_exec_allowed;
    const char *work_dir;
    const char *config;
    int log_level;    /* enum berth_log_level */
    bool is_alone;    /* a keeper for one suspect, or its child */
    int64_t child_fd; /* the keeper's page; negative: this is the keeper */
    struct berth_conf conf;
};

extern const struct berth_program options_program;

/* Takes the command line apart; then `ret_args` says whether help or version is wanted. */
int options_parse(struct berth_args *ret_args, int argc, char *const *argv,
                  struct berth_error *err);

/* Reads the file, if one is named, and checks everything. BERTH_EUSAGE, BERTH_ECONF, -errno. Needs
 * options_fini after a success only. */
int options_read(struct options *ret_options, const struct berth_args *args,
                 struct berth_error *err);
void options_fini(struct options *options);

/* The first setting but log_level that differs, by its name; NULL: none does. */
const char *options_difference(const struct options *a, const struct options *b);
