/* SPDX-License-Identifier: MIT */
/* What may be typed next, worked out from the table of commands: for the completion of shells.
 *
 * Pure: it asks nobody. Words that make no sense are passed over as far as that goes.
 */
#pragma once

#include <stddef.h>

#include <berth/error.h>

#include "base/args.h"
#include "base/buf.h"

#define COMPLETE_BYTES_MAX (64u << 10) /* of all candidates */

enum complete_kind {
    COMPLETE_WORDS,       /* those that were written */
    COMPLETE_FILES,       /* files; the shell knows them */
    COMPLETE_FOLDERS,     /* folders */
    COMPLETE_COMMANDS,    /* programs on PATH */
    COMPLETE_DISPATCHERS, /* names that the broker knows */
    COMPLETE_SCHEDULES,
};

struct complete {
    enum complete_kind kind;
    const char
        *typed; /* of the candidate, so far: the last word, or what follows --option= in it */
    size_t prefix_bytes; /* of the last word: "--option=", or nothing */
    const char *broker;  /* the URL among the words; NULL: none */
};

/* `words` are what stands behind the program's name, up to and with the one at the cursor, of which
 * only what stands before the cursor; at least one. Appends a line "CANDIDATE\tEXPLANATION" for
 * each candidate of ours that begins as the last word does. All is borrowed from `words`. 0, or the
 * buffer's error. */
int complete_words(const struct berth_program *program, const char *const *words, size_t count,
                   struct berth_buf *candidates, struct complete *ret_complete);
