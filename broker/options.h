/* SPDX-License-Identifier: MIT */
/* What berthd was told: command line over environment over file over default. */
#pragma once

#include "base/args.h"
#include "base/conf.h"
#include "seed.h"

#define BERTHD_LISTEN_DEFAULT "tcp://127.0.0.1:7411"
#define BERTHD_HTTP_DEFAULT   "127.0.0.1:7480"

/* Texts are borrowed from argv, the environment and `conf`. */
struct options {
    const char *data; /* NULL: the default, see options_data_dir */
    const char *listen;
    const char *http; /* ADDR:PORT or "off" */
    const char *config;
    int log_level; /* enum berth_log_level */
    bool is_insecure, wants_check;
    bool is_http_given; /* in whichever way */
    bool is_open;       /* `listen` can be reached from other machines */
    struct berth_seeds seeds;
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

/* The data directory: what was given, else $STATE_DIRECTORY, $XDG_STATE_HOME/berth or
 * ~/.local/state/berth, whose parents are made. Returns a text of the caller's to free, NULL with a
 * sentence if there is none. */
char *options_data_dir(const struct options *options, struct berth_error *err);
