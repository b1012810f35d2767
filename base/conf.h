/* SPDX-License-Identifier: MIT
 *
 * Configuration files: INI, with a table of what is allowed. Anything else is an error that names
 * file and line.
 *
 *     # a comment; so is a line that starts with ';'. A '#' or ';' inside a value belongs to the
 * value. [broker] listen = tcp://127.0.0.1:7411
 *
 *     [dispatcher "newsletter"]
 *     limit = 5
 *
 * Values stand bare, to the end of the line, without the blanks around them. A section or a key
 * given twice is an error, an unknown one too, with a suggestion. The reader is our own: the one in
 * Debian (inih r55) cuts section names at 49 bytes, and ours have up to 64; it cuts lines at 199
 * bytes and joins indented ones without a word.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <berth/error.h>

#include "base/arena.h"
#include "base/setting.h"

#define BERTH_CONF_BYTES_MAX    (1u << 20) /* a whole file */
#define BERTH_CONF_SECTIONS_MAX 4096       /* sections in one file */

/* Where the keys of one section go. With `is_named`, [kind "NAME"]: NAME is checked by
 * berth_name_check, each name may come once, and `begin` says into what struct its keys are
 * written. Without: [kind], and `target` it is. */
struct berth_conf_section {
    const char *kind; /* "broker", "dispatcher" */
    bool is_named;
    const struct berth_setting *settings;
    size_t settings_count;
    void *target;
    /* Returns 0 or a negative code with a sentence, to which file and line are added. `name` lives
     * as long as the conf. */
    int (*begin)(void *arg, const char *name, void **ret_target, struct berth_error *err);
};

/* Owns the texts that were read; what was written to the targets points into it. */
struct berth_conf {
    struct berth_arena arena;
};

void berth_conf_init(struct berth_conf *conf);
void berth_conf_fini(struct berth_conf *conf);

/* Reads a whole file. Returns 0; BERTH_ECONF with "FILE:LINE: ..."; -ENOMEM; or the -errno of open
 * or read. After a failure the targets may hold what stood before the bad line. */
int berth_conf_load(struct berth_conf *conf, const char *path,
                    const struct berth_conf_section *sections, size_t count, void *arg,
                    struct berth_error *err);

/* The same for text in memory; `path` is what messages call it. */
int berth_conf_parse(struct berth_conf *conf, const char *path, struct berth_slice text,
                     const struct berth_conf_section *sections, size_t count, void *arg,
                     struct berth_error *err);
