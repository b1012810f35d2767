/* SPDX-License-Identifier: MIT
 *
 * The command line of our programs: options by table, sub-commands, help made from the table.
 *
 * 1. Options stand before or after the operands and the command; `--` ends them, and what follows
 * is untouched.
 * 2. --name VALUE and --name=VALUE; -d VALUE and -dVALUE; letters of flags may be joined. No
 * abbreviations: an option that is added later must not change what a script means (which is why
 * getopt_long is not used).
 * 3. An unknown option or command is BERTH_EUSAGE with a suggestion. The last one of several wins,
 * lists apart.
 * 4. Flag over environment over file over default: fill a struct with defaults, berth_args_parse,
 * read the file (its name: berth_args_find(args, "config")) into the struct, then berth_args_apply
 * over it.
 * 5. --help and --version are everywhere and need no row.
 *
 * A command may have two words ("dispatcher set"). Options of the program may stand on either side
 * of it, its own only behind it. Nothing is allocated, printed or ended here: what to print is
 * written into a buffer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <berth/error.h>

#include "base/buf.h"
#include "base/setting.h"

#define BERTH_ARGS_GIVEN_MAX    1024 /* options on one command line */
#define BERTH_ARGS_OPERANDS_MAX 10000
#define BERTH_COMMANDS_MAX      64

struct berth_command {
    const char *name;     /* "submit", "dispatcher set" */
    const char *operands; /* for the usage line: "ID...", "[-- COMMAND [ARG...]]"; NULL: none */
    const char *summary;  /* a phrase: "submit jobs"; NULL: known by name, and not in the help */
    const char *examples; /* lines of text, each with its newline; NULL: none */
    const struct berth_setting *settings;
    size_t settings_count;
    size_t operands_min, operands_max; /* what follows `--` counts too; max 0: none */
    /* The program's own: what runs it. */
    int (*run)(void *context);
    const void *data;
};

struct berth_program {
    const char *name;     /* "berth" */
    const char *operands; /* as above, for a program without commands */
    const char *summary;
    const char *examples;
    const struct berth_setting *settings;
    size_t settings_count;
    size_t operands_min, operands_max;    /* without commands */
    const struct berth_command *commands; /* NULL: none */
    size_t commands_count;
};

struct berth_given {
    const struct berth_setting *setting;
    const char *text; /* "yes" for a flag */
};

/* The result of parsing. Borrows program and argv. Large (about 100 KiB): best static or on the
 * heap in a coroutine. */
struct berth_args {
    const struct berth_program *program;
    const struct berth_command *command; /* NULL: none was named, or the program has none */
    struct berth_given given[BERTH_ARGS_GIVEN_MAX];
    size_t given_count;
    const char *operands[BERTH_ARGS_OPERANDS_MAX + 1]; /* ended by NULL */
    size_t operands_count;
    size_t rest_index; /* operands[rest_index ..] stood behind `--`; operands_count if there was
                          none */
    bool has_rest;     /* there was a `--` */
    bool wants_help, wants_version;
};

/* Takes argv apart. 0, or BERTH_EUSAGE with a sentence. Values are checked by berth_args_apply.
 * With --help or
 * --version anywhere before `--` it is 0 whatever else is missing, and the caller answers that. If
 * the program has commands and none is named, `command` is NULL and that is an error too, unless
 * help is wanted. */
int berth_args_parse(struct berth_args *ret_args, const struct berth_program *program, int argc,
                     char *const *argv, struct berth_error *err);

/* The text given for a setting of this name, by flag or else by the environment; NULL if by
 * neither. */
const char *berth_args_find(const struct berth_args *args, const char *name);

/* Checks the values and writes them: the program's settings into `program_target`, the command's
 * into `command_target` (NULL allowed where there are no settings). An empty variable counts as
 * none. 0 or BERTH_EUSAGE. */
int berth_args_apply(const struct berth_args *args, void *program_target, void *command_target,
                     struct berth_error *err);

/* The help of the command that was named, else of the program; examples first. 0, or the buffer's
 * error. */
int berth_args_help(const struct berth_args *args, struct berth_buf *buf);

/* "berth 0.1.0" with a newline. */
int berth_args_version(const struct berth_args *args, struct berth_buf *buf);
