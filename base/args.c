/* SPDX-License-Identifier: MIT
 *
 * Taking a command line apart, and applying what was given.
 */
#include "base/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/text.h"

#define SHOWN_MAX 60

/* One walk over argv. */
struct walk {
    struct berth_args *args;
    int argc, at;
    char *const *argv;
    struct berth_error *err;
    const char *group; /* the first word of a command of two, until the second comes */
};

static int walk_word(struct walk *walk, const char *word);
static int walk_long(struct walk *walk, const char *word);
static int walk_letters(struct walk *walk, const char *letters);
static int second_word_missing(const struct walk *walk);
static int check_operands(const struct berth_args *args, struct berth_error *err);

int berth_args_parse(struct berth_args *args, const struct berth_program *program, int argc,
                     char *const *argv, struct berth_error *err)
{
    memset(args, 0, sizeof *args);
    args->program = program;
    struct walk walk = { .args = args, .argc = argc, .at = 1, .argv = argv, .err = err };
    int rc = 0;
    while (rc == 0 && walk.at < argc) {
        const char *word = argv[walk.at++];
        if (args->has_rest || word[0] != '-' || word[1] == '\0') {
            rc = walk_word(&walk, word);
        } else if (strcmp(word, "--") == 0) {
            args->has_rest = true;
            args->rest_index = args->operands_count;
        } else {
            rc = word[1] == '-' ? walk_long(&walk, word) : walk_letters(&walk, word + 1);
        }
    }
    if (!args->has_rest)
        args->rest_index = args->operands_count;
    if (rc < 0 || args->wants_help || args->wants_version)
        return rc;
    return walk.group ? second_word_missing(&walk) : check_operands(args, err);
}

/* The rows that count at this place: the command's, then the program's. */
static const struct berth_setting *settings_at(const struct berth_args *args, size_t index)
{
    size_t own = args->command ? args->command->settings_count : 0;
    if (index < own)
        return &args->command->settings[index];
    index -= own;
    return index < args->program->settings_count ? &args->program->settings[index] : NULL;
}

static size_t settings_count(const struct berth_args *args)
{
    return args->program->settings_count + (args->command ? args->command->settings_count : 0);
}

static bool is_flag_name(const struct berth_setting *setting, const char *name, size_t bytes)
{
    char flag[BERTH_FLAG_TEXT_MAX];
    berth_setting_flag(setting, flag);
    return strlen(flag + 2) == bytes && strncmp(flag + 2, name, bytes) == 0;
}

/* Help and version are rows like any other where names are compared. */
static const char *const builtin_names[] = { "help", "version" };
#define BUILTIN_COUNT 2

struct candidates {
    const struct berth_args *args;
    char (*flags)[BERTH_FLAG_TEXT_MAX];
};

static const char *flag_of(const void *arg, size_t index)
{
    const struct candidates *candidates = arg;
    if (index < BUILTIN_COUNT)
        return builtin_names[index];
    const struct berth_setting *setting = settings_at(candidates->args, index - BUILTIN_COUNT);
    return berth_setting_flag(setting, candidates->flags[index]) + 2;
}

/* The first command that has an option of this name, or NULL. */
static const struct berth_command *command_with(const struct berth_program *program,
                                                const char *name, size_t bytes)
{
    for (size_t i = 0; i < program->commands_count; i++) {
        const struct berth_command *command = &program->commands[i];
        for (size_t s = 0; s < command->settings_count; s++)
            if (is_flag_name(&command->settings[s], name, bytes))
                return command;
    }
    return NULL;
}

static int unknown_option(struct walk *walk, const char *name, size_t bytes)
{
    char flags[2 * BERTH_SETTINGS_MAX + BUILTIN_COUNT][BERTH_FLAG_TEXT_MAX];
    char word[SHOWN_MAX + 1] = "";
    memcpy(word, name, bytes < SHOWN_MAX ? bytes : SHOWN_MAX);
    struct candidates candidates = { .args = walk->args, .flags = flags };
    const char *near =
        berth_suggest(word, settings_count(walk->args) + BUILTIN_COUNT, flag_of, &candidates);
    if (near)
        return berth_fail(walk->err, BERTH_EUSAGE, "unknown option '--%s'; did you mean '--%s'?",
                          word, near);
    const struct berth_command *command = walk->args->command, *other = NULL;
    if (!command && !walk->group)
        other = command_with(walk->args->program, name, bytes);
    if (other)
        return berth_fail(walk->err, BERTH_EUSAGE,
                          "option '--%s' stands behind its command, as in '%s %s --%s'", word,
                          walk->args->program->name, other->name, word);
    return berth_fail(walk->err, BERTH_EUSAGE, "unknown option '--%s'; '%s%s%s --help' lists them",
                      word, walk->args->program->name, command ? " " : "",
                      command ? command->name : "");
}

static int give(struct walk *walk, const struct berth_setting *setting, const char *text)
{
    if (walk->args->given_count == BERTH_ARGS_GIVEN_MAX)
        return berth_fail(walk->err, BERTH_EUSAGE, "more than %d options", BERTH_ARGS_GIVEN_MAX);
    walk->args->given[walk->args->given_count++] =
        (struct berth_given){ .setting = setting, .text = text };
    return 0;
}

/* The next word is the value, whatever it looks like. */
static int give_next(struct walk *walk, const struct berth_setting *setting, const char *shown)
{
    if (walk->at == walk->argc)
        return berth_fail(walk->err, BERTH_EUSAGE, "option '%s' needs a value: %s", shown,
                          setting->value ? setting->value : "VALUE");
    return give(walk, setting, walk->argv[walk->at++]);
}

static bool take_builtin(struct berth_args *args, const char *name, size_t bytes)
{
    if (bytes == strlen("help") && strncmp(name, "help", bytes) == 0)
        args->wants_help = true;
    else if (bytes == strlen("version") && strncmp(name, "version", bytes) == 0)
        args->wants_version = true;
    else
        return false;
    return true;
}

static int walk_long(struct walk *walk, const char *word)
{
    const char *name = word + 2, *equals = strchr(name, '=');
    size_t bytes = equals ? (size_t)(equals - name) : strlen(name);
    if (!equals && take_builtin(walk->args, name, bytes))
        return 0;

    for (size_t i = 0; i < settings_count(walk->args); i++) {
        const struct berth_setting *setting = settings_at(walk->args, i);
        if (!is_flag_name(setting, name, bytes))
            continue;
        if (setting->type != BERTH_SETTING_FLAG)
            return equals ? give(walk, setting, equals + 1) : give_next(walk, setting, word);
        if (equals)
            return berth_fail(walk->err, BERTH_EUSAGE, "option '--%.*s' takes no value", (int)bytes,
                              name);
        return give(walk, setting, "yes");
    }
    return unknown_option(walk, name, bytes);
}

static const struct berth_setting *letter_find(const struct berth_args *args, char letter)
{
    for (size_t i = 0; i < settings_count(args); i++)
        if (settings_at(args, i)->letter == letter)
            return settings_at(args, i);
    return NULL;
}

/* Who writes "-wait" may have meant "--wait". */
static int unknown_letter(struct walk *walk, const char *shown, const char *letters)
{
    for (size_t i = 0; i < settings_count(walk->args); i++)
        if (letters[1] != '\0' &&
            is_flag_name(settings_at(walk->args, i), letters, strlen(letters)))
            return berth_fail(walk->err, BERTH_EUSAGE, "unknown option '-%s'; did you mean '--%s'?",
                              letters, letters);
    return berth_fail(walk->err, BERTH_EUSAGE, "unknown option '%s'; '%s --help' lists them", shown,
                      walk->args->program->name);
}

static int walk_letters(struct walk *walk, const char *letters)
{
    for (; *letters != '\0'; letters++) {
        const struct berth_setting *setting = letter_find(walk->args, *letters);
        char shown[] = { '-', *letters, '\0' };
        if (!setting && *letters == 'h') {
            walk->args->wants_help = true;
            continue;
        }
        if (!setting)
            return unknown_letter(walk, shown, letters);
        if (setting->type != BERTH_SETTING_FLAG)
            return letters[1] != '\0' ? give(walk, setting, letters + 1)
                                      : give_next(walk, setting, shown);
        int rc = give(walk, setting, "yes");
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The second word of a command's name, or NULL if it has one word. */
static const char *second_word(const struct berth_command *command)
{
    const char *blank = strchr(command->name, ' ');
    return blank ? blank + 1 : NULL;
}

static bool is_first_word(const struct berth_command *command, const char *word)
{
    size_t bytes = strcspn(command->name, " ");
    return strlen(word) == bytes && strncmp(command->name, word, bytes) == 0;
}

/* What could have been typed at this place: first words, or behind a first word whole names. */
struct command_candidates {
    const struct walk *walk;
    char (*names)[BERTH_FLAG_TEXT_MAX];
};

static const char *command_of(const void *arg, size_t index)
{
    const struct command_candidates *candidates = arg;
    const char *name = candidates->walk->args->program->commands[index].name;
    if (candidates->walk->group)
        return name;
    (void)snprintf(candidates->names[index], BERTH_FLAG_TEXT_MAX, "%.*s", (int)strcspn(name, " "),
                   name);
    return candidates->names[index];
}

static int unknown_command(struct walk *walk, const char *word)
{
    const struct berth_program *program = walk->args->program;
    char names[BERTH_COMMANDS_MAX][BERTH_FLAG_TEXT_MAX], typed[2 * SHOWN_MAX];
    struct command_candidates candidates = { .walk = walk, .names = names };
    BERTH_ASSERT(program->commands_count <= BERTH_COMMANDS_MAX);
    (void)snprintf(typed, sizeof typed, "%s%s%.*s", walk->group ? walk->group : "",
                   walk->group ? " " : "", SHOWN_MAX, word);
    const char *near = berth_suggest(typed, program->commands_count, command_of, &candidates);
    if (near)
        return berth_fail(walk->err, BERTH_EUSAGE, "unknown command '%s'; did you mean '%s'?",
                          typed, near);
    return berth_fail(walk->err, BERTH_EUSAGE, "unknown command '%s'; '%s --help' lists them",
                      typed, program->name);
}

static int walk_command(struct walk *walk, const char *word)
{
    const struct berth_program *program = walk->args->program;
    for (size_t i = 0; i < program->commands_count; i++) {
        const struct berth_command *command = &program->commands[i];
        const char *second = second_word(command);
        bool is_it =
            walk->group ? second && is_first_word(command, walk->group) && strcmp(second, word) == 0
                        : !second && is_first_word(command, word);
        if (is_it) {
            walk->args->command = command;
            walk->group = NULL;
            return 0;
        }
    }
    for (size_t i = 0; i < program->commands_count && !walk->group; i++) {
        if (!second_word(&program->commands[i]) || !is_first_word(&program->commands[i], word))
            continue;
        walk->group = word;
        return 0;
    }
    return unknown_command(walk, word);
}

/* Lists what may follow, but for what is not in the help. */
static int second_word_missing(const struct walk *walk)
{
    const struct berth_program *program = walk->args->program;
    char words[BERTH_ERROR_MESSAGE_MAX] = "";
    size_t used = 0;
    for (size_t i = 0; i < program->commands_count; i++) {
        const struct berth_command *command = &program->commands[i];
        const char *second = second_word(command);
        if (!second || !command->summary || !is_first_word(command, walk->group))
            continue;
        if (used < sizeof words)
            used += (size_t)snprintf(words + used, sizeof words - used, "%s%s",
                                     used > 0 ? ", " : "", second);
    }
    if (used == 0)
        return berth_fail(walk->err, BERTH_EUSAGE,
                          "'%s %s' is not there yet: it comes with a later release", program->name,
                          walk->group);
    return berth_fail(walk->err, BERTH_EUSAGE, "'%s %s' needs one more word: %s", program->name,
                      walk->group, words);
}

static int walk_word(struct walk *walk, const char *word)
{
    struct berth_args *args = walk->args;
    if (args->program->commands_count > 0 && !args->command && !args->has_rest)
        return walk_command(walk, word);
    if (args->operands_count == BERTH_ARGS_OPERANDS_MAX)
        return berth_fail(walk->err, BERTH_EUSAGE, "more than %d operands",
                          BERTH_ARGS_OPERANDS_MAX);
    args->operands[args->operands_count++] = word;
    return 0;
}

static int check_operands(const struct berth_args *args, struct berth_error *err)
{
    const struct berth_program *program = args->program;
    const struct berth_command *command = args->command;
    if (program->commands_count > 0 && !command)
        return berth_fail(err, BERTH_EUSAGE, "a command is wanted; '%s --help' lists them",
                          program->name);

    size_t min = command ? command->operands_min : program->operands_min;
    size_t max = command ? command->operands_max : program->operands_max;
    const char *operands = command ? command->operands : program->operands;
    const char *blank = command ? " " : "", *name = command ? command->name : "";
    if (args->operands_count < min)
        return berth_fail(err, BERTH_EUSAGE, "'%s%s%s' needs more: %s", program->name, blank, name,
                          operands ? operands : "an operand");
    if (args->operands_count > max)
        return berth_fail(err, BERTH_EUSAGE, "'%s%s%s' takes no '%.*s'", program->name, blank, name,
                          SHOWN_MAX, args->operands[max]);
    return 0;
}

/* An empty variable counts as none, as is the custom of the shell. */
static const char *env_text(const struct berth_setting *setting)
{
    const char *text = setting->env ? getenv(setting->env) : NULL;
    return text && text[0] != '\0' ? text : NULL;
}

static const char *given_find(const struct berth_args *args, const struct berth_setting *setting)
{
    for (size_t i = args->given_count; i > 0; i--)
        if (args->given[i - 1].setting == setting)
            return args->given[i - 1].text;
    return NULL;
}

const char *berth_args_find(const struct berth_args *args, const char *name)
{
    for (size_t i = 0; i < settings_count(args); i++) {
        const struct berth_setting *setting = settings_at(args, i);
        if (strcmp(setting->name, name) != 0)
            continue;
        const char *text = given_find(args, setting);
        return text ? text : env_text(setting);
    }
    return NULL;
}

/* Applies the environment to the rows that no flag names. */
static int apply_env(const struct berth_args *args, const struct berth_setting *settings,
                     size_t count, void *target, struct berth_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const char *text = env_text(&settings[i]);
        if (!text || given_find(args, &settings[i]))
            continue;
        int rc = berth_setting_apply(&settings[i], settings[i].env, text, target, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool is_in(const struct berth_setting *setting, const struct berth_setting *settings,
                  size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (setting == &settings[i])
            return true;
    return false;
}

static int apply_given(const struct berth_args *args, const struct berth_setting *settings,
                       size_t count, void *target, struct berth_error *err)
{
    for (size_t i = 0; i < args->given_count; i++) {
        const struct berth_given *given = &args->given[i];
        if (!is_in(given->setting, settings, count))
            continue;
        char flag[BERTH_FLAG_TEXT_MAX];
        int rc = berth_setting_apply(given->setting, berth_setting_flag(given->setting, flag),
                                     given->text, target, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int berth_args_apply(const struct berth_args *args, void *program_target, void *command_target,
                     struct berth_error *err)
{
    const struct berth_program *program = args->program;
    const struct berth_command *command = args->command;
    int rc = apply_env(args, program->settings, program->settings_count, program_target, err);
    if (rc == 0)
        rc = apply_given(args, program->settings, program->settings_count, program_target, err);
    if (rc == 0 && command)
        rc = apply_env(args, command->settings, command->settings_count, command_target, err);
    if (rc == 0 && command)
        rc = apply_given(args, command->settings, command->settings_count, command_target, err);
    return rc < 0 ? berth_fail_as(err, BERTH_EUSAGE) : 0;
}
