/* SPDX-License-Identifier: MIT
 *
 * What may be typed next, over a table of the test's own.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <string.h>

#include "cli/complete.h"

#define WORDS_MAX 16

static const char *const states[] = { "all", "ready", "running", NULL };

#define ROW(name_, type_, value_, help_)                                                           \
    {                                                                                              \
        .name = (name_), .type = (type_), .value = (value_), .help = (help_)                       \
    }

static const struct berth_setting top[] = {
    ROW("broker", BERTH_SETTING_URL, "URL", "the broker"),
    ROW("json", BERTH_SETTING_FLAG, NULL, "one JSON document"),
    { .name = "quiet", .letter = 'q', .type = BERTH_SETTING_FLAG, .help = "ids only" },
};

static const struct berth_setting submit[] = {
    { .name = "dispatcher",
      .letter = 'd',
      .type = BERTH_SETTING_NAME,
      .value = "NAME",
      .help = "the dispatcher" },
    ROW("payload_file", BERTH_SETTING_TEXT, "FILE", "a file"),
    ROW("on_conflict", BERTH_SETTING_TEXT, "reject|existing", "what then"),
    ROW("max_attempts", BERTH_SETTING_U64, "N", "how often"),
    ROW("hidden", BERTH_SETTING_TEXT, "TEXT", NULL),
};

static const struct berth_setting ls[] = {
    { .name = "state",
      .type = BERTH_SETTING_CHOICE,
      .choices = states,
      .value = "STATE",
      .help = "which" },
    ROW("data", BERTH_SETTING_TEXT, "DIR", "where"),
};

#define SETTINGS(table) .settings = (table), .settings_count = sizeof(table) / sizeof(table)[0]

static const struct berth_command commands[] = {
    { .name = "submit",
      .operands = "-- COMMAND [ARG...]",
      .summary = "submit jobs",
      SETTINGS(submit) },
    { .name = "ls", .summary = "list jobs", SETTINGS(ls) },
    { .name = "logs" },
    { .name = "dispatcher ls", .summary = "list dispatchers" },
    { .name = "dispatcher set", .operands = "DISPATCHER", .summary = "change one" },
    { .name = "dispatcher rm" },
    { .name = "completion", .operands = "bash|zsh|fish", .summary = "print a script" },
};

static const struct berth_program program = {
    .name = "berth",
    SETTINGS(top),
    .commands = commands,
    .commands_count = sizeof commands / sizeof commands[0],
};

/* Cuts `line` at each blank; the last word may be empty. Fills `ret` and the candidates: names
 * only, joined by blanks. */
static void complete(const char *line, struct complete *ret, char *names, size_t names_bytes)
{
    static char copy[300];
    const char *words[WORDS_MAX];
    size_t count = 0, at = 0;
    assert_true(strlen(line) < sizeof copy);
    memcpy(copy, line, strlen(line) + 1);
    for (char *rest = copy, *word; (word = strsep(&rest, " ")) != NULL;) {
        assert_true(count < WORDS_MAX);
        words[count++] = word;
    }
    struct berth_buf buf;
    berth_buf_init(&buf, COMPLETE_BYTES_MAX);
    assert_ok(complete_words(&program, words, count, &buf, ret));
    for (const char *text = berth_buf_text(&buf); *text != '\0'; text = strchr(text, '\n') + 1) {
        size_t bytes = strcspn(text, "\t");
        assert_int_equal(text[bytes], '\t');
        assert_true(at + bytes + 2 < names_bytes);
        if (at > 0)
            names[at++] = ' ';
        memcpy(names + at, text, bytes);
        at += bytes;
    }
    names[at] = '\0';
    berth_buf_fini(&buf);
}

static void what_may_follow_is_offered(void **state)
{
    (void)state;
    static const struct {
        const char *line, *names;
    } rows[] = {
        { "", "submit ls dispatcher completion" },
        { "s", "submit" },
        { "l", "ls" },
        { "x", "" },
        { "--json ", "submit ls dispatcher completion" },
        { "--broker x ", "submit ls dispatcher completion" },
        { "dispatcher ", "ls set" },
        { "dispatcher s", "set" },
        { "dispatcher nonsense ", "" },
        { "nonsense ", "" },
        { "-", "--broker --json --quiet --help --version" },
        { "--q", "--quiet" },
        { "submit --", "--dispatcher --payload-file --on-conflict --max-attempts --broker --json "
                       "--quiet -- --help --version" },
        { "submit --m", "--max-attempts" },
        { "submit ", "--" },
        { "submit --json --m", "--max-attempts" },
        { "submit --dispatcher new --m", "--max-attempts" },
        { "submit -d new --m", "--max-attempts" },
        { "submit -dnew --m", "--max-attempts" },
        { "submit -qd new --m", "--max-attempts" },
        { "submit --unknown --m", "--max-attempts" },
        { "submit --on-conflict ", "reject existing" },
        { "submit --on-conflict e", "existing" },
        { "submit --on-conflict=", "--on-conflict=reject --on-conflict=existing" },
        { "submit --on-conflict=e", "--on-conflict=existing" },
        { "submit --max-attempts ", "" },
        { "submit --unknown=", "" },
        { "ls --state ", "all ready running" },
        { "ls --state r", "ready running" },
        { "ls --state=ru", "--state=running" },
        { "ls ", "" },
        { "completion ", "bash zsh fish" },
        { "completion z", "zsh" },
        { "completion zsh ", "" },
        { "ls -- --", "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char names[500];
        struct complete found;
        complete(rows[i].line, &found, names, sizeof names);
        if (strcmp(names, rows[i].names) != 0 || found.kind != COMPLETE_WORDS)
            fail_msg("'%s': '%s', not '%s'", rows[i].line, names, rows[i].names);
    }
}

static void what_others_know_is_left_to_them(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum complete_kind kind;
        const char *typed, *broker;
        size_t prefix_bytes;
    } rows[] = {
        { "submit -d ", COMPLETE_DISPATCHERS, "", NULL, 0 },
        { "submit --dispatcher ne", COMPLETE_DISPATCHERS, "ne", NULL, 0 },
        { "submit --dispatcher=ne", COMPLETE_DISPATCHERS, "ne", NULL, 13 },
        { "--broker u submit -d ", COMPLETE_DISPATCHERS, "", "u", 0 },
        { "dispatcher set --broker=u ne", COMPLETE_DISPATCHERS, "ne", "u", 0 },
        { "submit --payload-file x", COMPLETE_FILES, "x", NULL, 0 },
        { "submit --payload-file=x", COMPLETE_FILES, "x", NULL, 15 },
        { "ls --data ", COMPLETE_FOLDERS, "", NULL, 0 },
        { "submit -- da", COMPLETE_COMMANDS, "da", NULL, 0 },
        { "submit -- date --u", COMPLETE_FILES, "--u", NULL, 0 },
        { "submit -d x -- date a b", COMPLETE_FILES, "b", NULL, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char names[500];
        struct complete found;
        complete(rows[i].line, &found, names, sizeof names);
        if (found.kind != rows[i].kind || strcmp(found.typed, rows[i].typed) != 0)
            fail_msg("'%s': kind %d, '%s'", rows[i].line, (int)found.kind, found.typed);
        assert_int_equal(found.prefix_bytes, rows[i].prefix_bytes);
        if (rows[i].broker)
            assert_string_equal(found.broker, rows[i].broker);
        else
            assert_null(found.broker);
        assert_string_equal(names, "");
    }
}

static void candidates_are_explained(void **state)
{
    (void)state;
    struct berth_buf buf;
    struct complete found;
    berth_buf_init(&buf, COMPLETE_BYTES_MAX);
    assert_ok(complete_words(&program, (const char *const[]){ "l" }, 1, &buf, &found));
    assert_string_equal(berth_buf_text(&buf), "ls\tlist jobs\n");
    berth_buf_fini(&buf);
}

static void without_room_it_fails(void **state)
{
    (void)state;
    struct berth_buf buf;
    struct complete found;
    berth_buf_init(&buf, 10);
    assert_rc(complete_words(&program, (const char *const[]){ "" }, 1, &buf, &found), -EMSGSIZE);
    berth_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_follow_is_offered),
        cmocka_unit_test(what_others_know_is_left_to_them),
        cmocka_unit_test(candidates_are_explained),
        cmocka_unit_test(without_room_it_fails),
    };
    return berth_test_main(tests, NULL, NULL);
}
