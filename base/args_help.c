/* SPDX-License-Identifier: MIT
 *
 * The help, made from the tables. Examples come first: they answer most questions.
 */
#include <stdio.h>
#include <string.h>

#include <berth/version.h>

#include "base/args.h"

#define LEFT_COLUMNS     28 /* where the explanations start */
#define LEFT_COLUMNS_MAX 80

/* A failed append makes the rest do nothing; the first error is the result. */
struct page {
    struct berth_buf *buf;
    int rc;
};

BERTH_PRINTF(2, 3) static void add(struct page *page, const char *format, ...)
{
    if (page->rc < 0)
        return;
    va_list args;
    va_start(args, format);
    page->rc = berth_buf_vprintf(page->buf, format, args);
    va_end(args);
}

static void add_row(struct page *page, const char *left, const char *right)
{
    if (strlen(left) <= LEFT_COLUMNS - 4) /* two blanks on either side */
        add(page, "  %-*s%s", LEFT_COLUMNS - 2, left, right);
    else
        add(page, "  %s\n%*s%s", left, LEFT_COLUMNS, "", right);
}

static void add_setting(struct page *page, const struct berth_setting *setting)
{
    if (!setting->help)
        return;
    char letter[] = "    ", flag[BERTH_FLAG_TEXT_MAX], left[LEFT_COLUMNS_MAX];
    if (setting->letter)
        (void)snprintf(letter, sizeof letter, "-%c, ", setting->letter);
    const char *value = setting->type == BERTH_SETTING_FLAG ? "" : setting->value;
    (void)snprintf(left, sizeof left, "%.4s%s%s%s", letter, berth_setting_flag(setting, flag),
                   value && value[0] ? " " : "", value ? value : "");
    add_row(page, left, setting->help);
    if (setting->type == BERTH_SETTING_LIST)
        add(page, " (repeatable)");
    if (setting->env)
        add(page, " [$%s]", setting->env);
    add(page, "\n");
}

static void add_settings(struct page *page, const char *title, const struct berth_setting *settings,
                         size_t count)
{
    bool is_titled = false;
    for (size_t i = 0; i < count; i++) {
        if (settings[i].help && !is_titled)
            add(page, "\n%s:\n", title);
        is_titled = is_titled || settings[i].help;
        add_setting(page, &settings[i]);
    }
}

static void add_head(struct page *page, const char *program, const char *command,
                     const char *summary, const char *examples, const char *operands)
{
    add(page, "%s%s%s: %s\n", program, command ? " " : "", command ? command : "", summary);
    if (examples)
        add(page, "\nExamples:\n%s", examples);
    add(page, "\nUsage:\n  %s%s%s [OPTION...]%s%s\n", program, command ? " " : "",
        command ? command : "", operands ? " " : "", operands ? operands : "");
}

int berth_args_help(const struct berth_args *args, struct berth_buf *buf)
{
    struct page page = { .buf = buf };
    const struct berth_program *program = args->program;
    const struct berth_command *command = args->command;
    if (command)
        add_head(&page, program->name, command->name, command->summary, command->examples,
                 command->operands);
    else
        add_head(&page, program->name, NULL, program->summary, program->examples,
                 program->commands_count > 0 ? "COMMAND ..." : program->operands);

    for (size_t i = 0; !command && i < program->commands_count; i++) {
        if (i == 0)
            add(&page, "\nCommands (each has its own --help):\n");
        if (!program->commands[i].summary)
            continue;
        add_row(&page, program->commands[i].name, program->commands[i].summary);
        add(&page, "\n");
    }
    if (command)
        add_settings(&page, "Options", command->settings, command->settings_count);
    add_settings(&page, command ? "Options of every command" : "Options", program->settings,
                 program->settings_count);
    add(&page, "\n");
    add_row(&page, "    --version", "print the version\n");
    add_row(&page, "-h, --help", "print this help\n");
    return page.rc;
}

int berth_args_version(const struct berth_args *args, struct berth_buf *buf)
{
    return berth_buf_printf(buf, "%s %s\n", args->program->name, BERTH_VERSION);
}
