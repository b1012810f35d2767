/* SPDX-License-Identifier: MIT */
/* See complete.h. It walks as base/args.c does, but goes on where that one refuses. */
#include "cli/complete.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/assert.h"

/* Where the cursor is. */
struct place {
    const struct berth_program *program;
    const struct berth_command *command; /* NULL: none was named yet */
    const char *group;                   /* the first word of a command of two */
    const struct berth_setting *pending; /* the option whose value comes next */
    const char *broker;
    size_t operands, rest; /* before and behind `--` */
    bool has_rest, is_lost;
};

/* The candidates while they are written. */
struct answer {
    struct berth_buf *buf;
    const char *word; /* the last one, of which each candidate is to be a continuation */
    int rc;
};

static bool is_begun(const char *word, const char *prefix, size_t prefix_bytes, const char *text,
                     size_t text_bytes)
{
    size_t bytes = strlen(word), head = bytes < prefix_bytes ? bytes : prefix_bytes;
    return bytes <= prefix_bytes + text_bytes && strncmp(word, prefix, head) == 0 &&
           strncmp(word + head, text, bytes - head) == 0;
}

static void offer(struct answer *answer, const char *prefix, size_t prefix_bytes, const char *text,
                  size_t text_bytes, const char *explanation)
{
    if (answer->rc == 0 && is_begun(answer->word, prefix, prefix_bytes, text, text_bytes))
        answer->rc = berth_buf_printf(answer->buf, "%.*s%.*s\t%s\n", (int)prefix_bytes, prefix,
                                      (int)text_bytes, text, explanation);
}

static void offer_word(struct answer *answer, const char *text, const char *explanation)
{
    offer(answer, "", 0, text, strlen(text), explanation);
}

/* ---- where we are ---- */

static const struct berth_setting *find_long(const struct place *place, const char *name,
                                             size_t bytes)
{
    char flag[BERTH_FLAG_TEXT_MAX];
    const struct berth_command *command = place->command;
    for (size_t i = 0; command && i < command->settings_count; i++) {
        berth_setting_flag(&command->settings[i], flag);
        if (strlen(flag) == bytes && memcmp(flag, name, bytes) == 0)
            return &command->settings[i];
    }
    for (size_t i = 0; i < place->program->settings_count; i++) {
        berth_setting_flag(&place->program->settings[i], flag);
        if (strlen(flag) == bytes && memcmp(flag, name, bytes) == 0)
            return &place->program->settings[i];
    }
    return NULL;
}

static const struct berth_setting *find_letter(const struct place *place, char letter)
{
    const struct berth_command *command = place->command;
    for (size_t i = 0; command && i < command->settings_count; i++)
        if (command->settings[i].letter == letter)
            return &command->settings[i];
    for (size_t i = 0; i < place->program->settings_count; i++)
        if (place->program->settings[i].letter == letter)
            return &place->program->settings[i];
    return NULL;
}

static void take_value(struct place *place, const struct berth_setting *setting, const char *value)
{
    if (setting->type == BERTH_SETTING_URL)
        place->broker = value;
}

static void pass_long(struct place *place, const char *word)
{
    const char *equals = strchr(word, '=');
    const struct berth_setting *setting =
        find_long(place, word, equals ? (size_t)(equals - word) : strlen(word));
    if (!setting || setting->type == BERTH_SETTING_FLAG)
        return;
    if (equals)
        take_value(place, setting, equals + 1);
    else
        place->pending = setting;
}

static void pass_letters(struct place *place, const char *letters)
{
    for (; *letters != '\0'; letters++) {
        const struct berth_setting *setting = find_letter(place, *letters);
        if (!setting || setting->type == BERTH_SETTING_FLAG)
            continue;
        if (letters[1] != '\0')
            take_value(place, setting, letters + 1);
        else
            place->pending = setting;
        return;
    }
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
    return strlen(word) == bytes && memcmp(command->name, word, bytes) == 0;
}

static void pass_command(struct place *place, const char *word)
{
    bool is_group = false;
    for (size_t i = 0; i < place->program->commands_count; i++) {
        const struct berth_command *command = &place->program->commands[i];
        const char *second = second_word(command);
        bool is_it = place->group ? second && is_first_word(command, place->group) &&
                                        strcmp(second, word) == 0
                                  : !second && is_first_word(command, word);
        if (is_it) {
            place->command = command;
            return;
        }
        is_group = is_group || (second && is_first_word(command, word));
    }
    if (place->group || !is_group)
        place->is_lost = true;
    else
        place->group = word;
}

static void pass(struct place *place, const char *word)
{
    if (place->pending) {
        take_value(place, place->pending, word);
        place->pending = NULL;
    } else if (place->has_rest) {
        place->rest++;
    } else if (strcmp(word, "--") == 0) {
        place->has_rest = true;
    } else if (word[0] == '-' && word[1] == '-') {
        pass_long(place, word);
    } else if (word[0] == '-' && word[1] != '\0') {
        pass_letters(place, word + 1);
    } else if (!place->command && place->program->commands_count > 0) {
        pass_command(place, word);
    } else {
        place->operands++;
    }
}

/* ---- what may come ---- */

/* Whether a command with its own words may stand behind `--`. */
static bool takes_command(const struct place *place)
{
    const char *operands = place->command ? place->command->operands : NULL;
    return operands && strstr(operands, "COMMAND");
}

static void offer_settings(struct answer *answer, const struct berth_setting *settings,
                           size_t count)
{
    char flag[BERTH_FLAG_TEXT_MAX];
    for (size_t i = 0; i < count; i++)
        if (settings[i].help)
            offer_word(answer, berth_setting_flag(&settings[i], flag), settings[i].help);
}

static void offer_options(struct answer *answer, const struct place *place)
{
    if (place->command)
        offer_settings(answer, place->command->settings, place->command->settings_count);
    offer_settings(answer, place->program->settings, place->program->settings_count);
    if (takes_command(place))
        offer_word(answer, "--", "behind it stands the command");
    offer_word(answer, "--help", "print the help");
    offer_word(answer, "--version", "print the version");
}

/* Commands, or the first words of those of two, each once. */
static void offer_commands(struct answer *answer, const struct place *place)
{
    const struct berth_command *commands = place->program->commands;
    for (size_t i = 0; i < place->program->commands_count; i++) {
        const char *second = second_word(&commands[i]);
        if (!commands[i].summary)
            continue;
        if (place->group) {
            if (second && is_first_word(&commands[i], place->group))
                offer_word(answer, second, commands[i].summary);
            continue;
        }
        size_t bytes = strcspn(commands[i].name, " ");
        bool is_known = false;
        for (size_t before = 0; second && before < i; before++)
            is_known =
                is_known || (commands[before].summary && second_word(&commands[before]) &&
                             strncmp(commands[before].name, commands[i].name, bytes + 1) == 0);
        if (!is_known)
            offer(answer, "", 0, commands[i].name, bytes, second ? "" : commands[i].summary);
    }
}

/* What a placeholder of the help means: "FILE", "DISPATCHER", or words to choose from like
 * "reject|existing", which are offered here. */
static enum complete_kind read_placeholder(struct answer *answer, const char *text,
                                           const char *prefix, size_t prefix_bytes)
{
    while (*text != '\0') {
        size_t bytes = strcspn(text, "|"), lower = 0;
        while (lower < bytes && (islower((unsigned char)text[lower]) || text[lower] == '-'))
            lower++;
        if (bytes == 4 && memcmp(text, "FILE", 4) == 0)
            return COMPLETE_FILES;
        if (bytes == 3 && memcmp(text, "DIR", 3) == 0)
            return COMPLETE_FOLDERS;
        if (bytes == 10 && memcmp(text, "DISPATCHER", 10) == 0)
            return COMPLETE_DISPATCHERS;
        if (strncmp(text, "SCHEDULE", 8) == 0)
            return COMPLETE_SCHEDULES;
        if (bytes > 1 && lower == bytes)
            offer(answer, prefix, prefix_bytes, text, bytes, "");
        text += bytes + (text[bytes] == '|');
    }
    return COMPLETE_WORDS;
}

static enum complete_kind offer_values(struct answer *answer, const struct berth_setting *setting,
                                       const char *prefix, size_t prefix_bytes)
{
    if (strcmp(setting->name, "dispatcher") == 0 || strcmp(setting->name, "parent") == 0)
        return COMPLETE_DISPATCHERS;
    if (setting->type == BERTH_SETTING_FLAG)
        return COMPLETE_WORDS;
    if (setting->type != BERTH_SETTING_CHOICE)
        return read_placeholder(answer, setting->value ? setting->value : "", prefix, prefix_bytes);
    for (const char *const *choice = setting->choices; *choice; choice++)
        offer(answer, prefix, prefix_bytes, *choice, strlen(*choice), "");
    return COMPLETE_WORDS;
}

static enum complete_kind complete_rest(const struct place *place)
{
    if (!takes_command(place))
        return COMPLETE_WORDS;
    return place->rest == 0 ? COMPLETE_COMMANDS : COMPLETE_FILES;
}

static enum complete_kind complete_operand(struct answer *answer, const struct place *place)
{
    if (!place->command) {
        offer_commands(answer, place);
        return COMPLETE_WORDS;
    }
    if (place->operands > 0 || !place->command->operands)
        return COMPLETE_WORDS;
    if (takes_command(place))
        offer_word(answer, "--", "behind it stands the command");
    return read_placeholder(answer, place->command->operands, "", 0);
}

int complete_words(const struct berth_program *program, const char *const *words, size_t count,
                   struct berth_buf *candidates, struct complete *ret_complete)
{
    BERTH_ASSERT(count > 0);
    struct place place = { .program = program };
    for (size_t i = 0; i + 1 < count; i++)
        pass(&place, words[i]);
    const char *word = words[count - 1], *equals = strchr(word, '=');
    struct answer answer = { .buf = candidates, .word = word };
    struct complete complete = { .kind = COMPLETE_WORDS, .typed = word, .broker = place.broker };
    bool is_option = word[0] == '-' && !place.has_rest;
    const struct berth_setting *setting = NULL;
    if (is_option && equals)
        setting = find_long(&place, word, (size_t)(equals - word));

    if (place.pending) {
        complete.kind = offer_values(&answer, place.pending, "", 0);
    } else if (place.has_rest) {
        complete.kind = complete_rest(&place);
    } else if (setting) {
        complete.prefix_bytes = (size_t)(equals - word) + 1;
        complete.typed = equals + 1;
        complete.kind = offer_values(&answer, setting, word, complete.prefix_bytes);
    } else if (is_option) {
        offer_options(&answer, &place);
    } else if (!place.is_lost) {
        complete.kind = complete_operand(&answer, &place);
    }
    if (answer.rc == 0)
        *ret_complete = complete;
    return answer.rc;
}
