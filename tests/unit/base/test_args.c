/* SPDX-License-Identifier: MIT
 *
 * The command line: where options may stand, what wins, what is refused, and the help.
 */
#include "support/berthtest.h"

#include <stdlib.h>
#include <string.h>

#include <berth/version.h>

#include "base/args.h"

#define WORDS_MAX 16

struct top {
    const char *broker;
    bool is_json;
    int64_t connect_timeout_ms;
};

struct submit {
    const char *dispatcher, *handler;
    uint64_t max_attempts;
    bool is_waiting;
    struct berth_text_list context;
};

static const struct berth_setting top_settings[] = {
    { .name = "broker",
      .type = BERTH_SETTING_URL,
      .offset = offsetof(struct top, broker),
      .value = "URL",
      .env = "BERTH_TEST_URL",
      .help = "the broker to talk to" },
    { .name = "connect_timeout",
      .type = BERTH_SETTING_DURATION,
      .offset = offsetof(struct top, connect_timeout_ms),
      .max = 3600000,
      .value = "TIME",
      .help = "give up after TIME" },
    { .name = "json",
      .type = BERTH_SETTING_FLAG,
      .offset = offsetof(struct top, is_json),
      .help = "print JSON" },
};

static const struct berth_setting submit_settings[] = {
    { .name = "dispatcher",
      .letter = 'd',
      .type = BERTH_SETTING_NAME,
      .offset = offsetof(struct submit, dispatcher),
      .value = "NAME",
      .help = "where the job goes" },
    { .name = "handler",
      .type = BERTH_SETTING_NAME,
      .offset = offsetof(struct submit, handler),
      .value = "NAME",
      .help = "what runs it" },
    { .name = "max_attempts",
      .letter = 'n',
      .type = BERTH_SETTING_U64,
      .offset = offsetof(struct submit, max_attempts),
      .min = 1,
      .max = 100,
      .value = "N",
      .help = "how often it is tried" },
    { .name = "wait",
      .letter = 'w',
      .type = BERTH_SETTING_FLAG,
      .offset = offsetof(struct submit, is_waiting),
      .help = "wait for its end" },
    { .name = "context",
      .letter = 'c',
      .type = BERTH_SETTING_LIST,
      .offset = offsetof(struct submit, context),
      .value = "K=V",
      .help = "a field of its context" },
};

static const struct berth_command commands[] = {
    { .name = "submit",
      .operands = "[-- COMMAND [ARG...]]",
      .summary = "submit a job",
      .examples = "  berth submit -d newsletter -- date\n",
      .settings = submit_settings,
      .settings_count = 5,
      .operands_max = BERTH_ARGS_OPERANDS_MAX },
    { .name = "wait",
      .operands = "ID...",
      .summary = "wait for jobs",
      .operands_min = 1,
      .operands_max = 3 },
    { .name = "dispatcher ls", .summary = "list dispatchers" },
    { .name = "dispatcher set",
      .operands = "NAME",
      .summary = "make or change one",
      .operands_min = 1,
      .operands_max = 1 },
    { .name = "dispatcher purge" }, /* known by name, not shown */
};

static const struct berth_program program = { .name = "berth",
                                              .summary = "submit jobs and look after them",
                                              .examples = "  berth up\n",
                                              .settings = top_settings,
                                              .settings_count = 3,
                                              .commands = commands,
                                              .commands_count = 5 };

struct fixture {
    char *words[WORDS_MAX + 1];
    int count;
    struct berth_args args;
    struct top top;
    struct submit submit;
    struct berth_error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    *f = (struct fixture){ .top = { .broker = "default", .connect_timeout_ms = 3000 },
                           .submit = { .dispatcher = "default" } };
    *state = f;
    return unsetenv("BERTH_TEST_URL");
}

static void forget_words(struct fixture *f)
{
    for (int i = 0; i < f->count; i++)
        free(f->words[i]);
    f->count = 0;
}

static int tear_down(void **state)
{
    forget_words(*state);
    free(*state);
    return 0;
}

/* Cuts `line` at blanks (a word that is '' is empty) and parses it. */
static int parse_as(struct fixture *f, const struct berth_program *as, const char *line)
{
    char copy[400];
    assert_true(strlen(line) < sizeof copy);
    memcpy(copy, line, strlen(line) + 1);
    forget_words(f);
    for (char *word, *rest = copy; (word = strsep(&rest, " ")) != NULL;) {
        assert_true(f->count < WORDS_MAX);
        f->words[f->count++] = strdup(strcmp(word, "''") == 0 ? "" : word);
    }
    f->words[f->count] = NULL;
    return berth_args_parse(&f->args, as, f->count, f->words, &f->err);
}

static int parse(struct fixture *f, const char *line)
{
    return parse_as(f, &program, line);
}

static int run(struct fixture *f, const char *line)
{
    int rc = parse(f, line);
    return rc < 0 ? rc : berth_args_apply(&f->args, &f->top, &f->submit, &f->err);
}

static void options_may_stand_before_and_after_command_and_operands(void **state)
{
    struct fixture *f = *state;
    static const char *const lines[] = {
        "berth --json submit -d news --max-attempts 3 a b",
        "berth submit a --max-attempts=3 --json b -d news",
        "berth submit a b -dnews -n3 --json",
    };
    for (size_t i = 0; i < 3; i++) {
        assert_rc(run(f, lines[i]), 0);

        assert_ptr_equal(f->args.command, &commands[0]);
        assert_true(f->top.is_json);
        assert_string_equal(f->submit.dispatcher, "news");
        assert_true(f->submit.max_attempts == 3);
        assert_int_equal(f->args.operands_count, 2);
        assert_string_equal(f->args.operands[0], "a");
        assert_string_equal(f->args.operands[1], "b");
        assert_null(f->args.operands[2]);
        assert_false(f->args.has_rest);
        f->top.is_json = false;
        f->submit = (struct submit){ .dispatcher = "default" };
    }
}

static void what_follows_two_dashes_is_untouched(void **state)
{
    struct fixture *f = *state;

    assert_rc(run(f, "berth submit -d news x -- ls -l --json -- ''"), 0);

    assert_true(f->args.has_rest);
    assert_int_equal(f->args.rest_index, 1);
    assert_int_equal(f->args.operands_count, 6);
    static const char *const wanted[] = { "x", "ls", "-l", "--json", "--", "" };
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(f->args.operands[i], wanted[i]);
    assert_false(f->top.is_json);
}

static void a_single_dash_is_an_operand(void **state)
{
    struct fixture *f = *state;
    assert_rc(run(f, "berth wait -"), 0);
    assert_string_equal(f->args.operands[0], "-");
    assert_int_equal(f->args.rest_index, 1);
}

static void a_value_may_begin_with_a_dash(void **state)
{
    struct fixture *f = *state;
    assert_rc(run(f, "berth submit --context --json -c -x=1"), 0);
    assert_int_equal(f->submit.context.count, 2);
    assert_string_equal(f->submit.context.items[0], "--json");
    assert_string_equal(f->submit.context.items[1], "-x=1");
    assert_false(f->top.is_json);
}

static void letters_of_flags_may_be_joined(void **state)
{
    struct fixture *f = *state;
    assert_rc(run(f, "berth submit -wd news"), 0);
    assert_true(f->submit.is_waiting);
    assert_string_equal(f->submit.dispatcher, "news");
}

static void the_last_of_several_wins(void **state)
{
    struct fixture *f = *state;
    assert_rc(run(f, "berth submit -d a -d b"), 0);
    assert_string_equal(f->submit.dispatcher, "b");
    assert_string_equal(berth_args_find(&f->args, "dispatcher"), "b");
    assert_null(berth_args_find(&f->args, "handler"));
    assert_null(berth_args_find(&f->args, "nothing"));
}

static void a_flag_wins_over_the_environment_and_that_over_the_default(void **state)
{
    struct fixture *f = *state;

    assert_rc(run(f, "berth dispatcher ls"), 0);
    assert_string_equal(f->top.broker, "default");

    assert_int_equal(setenv("BERTH_TEST_URL", "ipc://env", 1), 0);
    assert_rc(run(f, "berth dispatcher ls"), 0);
    assert_string_equal(f->top.broker, "ipc://env");
    assert_string_equal(berth_args_find(&f->args, "broker"), "ipc://env");

    assert_rc(run(f, "berth dispatcher ls --broker ipc://flag"), 0);
    assert_string_equal(f->top.broker, "ipc://flag");
    assert_string_equal(berth_args_find(&f->args, "broker"), "ipc://flag");

    f->top.broker = "default";
    assert_int_equal(setenv("BERTH_TEST_URL", "", 1), 0);
    assert_rc(run(f, "berth dispatcher ls"), 0);
    assert_string_equal(f->top.broker, "default");

    assert_int_equal(setenv("BERTH_TEST_URL", "nowhere", 1), 0);
    assert_rc(run(f, "berth dispatcher ls"), BERTH_EUSAGE);
    assert_int_equal(strncmp(f->err.message, "BERTH_TEST_URL: 'nowhere' is not", 32), 0);
}

static void commands_of_two_words_are_found(void **state)
{
    struct fixture *f = *state;
    assert_rc(run(f, "berth dispatcher --json set news"), 0);
    assert_ptr_equal(f->args.command, &commands[3]);
    assert_string_equal(f->args.operands[0], "news");
    assert_true(f->top.is_json);
}

static void each_mistake_is_a_usage_error_that_helps(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *line, *message;
    } cases[] = {
        { "berth submit --max-attemps 3",
          "unknown option '--max-attemps'; did you mean '--max-attempts'?" },
        { "berth submit --max 3", "unknown option '--max'; 'berth submit --help' lists them" },
        { "berth submit --max_attempts 3",
          "unknown option '--max_attempts'; did you mean '--max-attempts'?" },
        { "berth wait 1 --dispatcher x",
          "unknown option '--dispatcher'; 'berth wait --help' lists them" },
        { "berth --handler x submit",
          "option '--handler' stands behind its command, as in 'berth submit --handler'" },
        { "berth --quux x submit", "unknown option '--quux'; 'berth --help' lists them" },
        { "berth submit -xson", "unknown option '-x'; 'berth --help' lists them" },
        { "berth wait 1 -json", "unknown option '-json'; did you mean '--json'?" },
        { "berth submit -x", "unknown option '-x'; 'berth --help' lists them" },
        { "berth submit --hepl", "unknown option '--hepl'; did you mean '--help'?" },
        { "berth submit --max-attempts", "option '--max-attempts' needs a value: N" },
        { "berth submit -n", "option '-n' needs a value: N" },
        { "berth submit --json=yes", "option '--json' takes no value" },
        { "berth submit --max-attempts 0",
          "--max-attempts: '0' is not allowed; a whole number from 1 to 100 is wanted" },
        { "berth submit --max-attempts=",
          "--max-attempts: '' is not allowed; a whole number from 1 to 100 is wanted" },
        { "berth sumbit", "unknown command 'sumbit'; did you mean 'submit'?" },
        { "berth quux", "unknown command 'quux'; 'berth --help' lists them" },
        { "berth dispatcher sett x",
          "unknown command 'dispatcher sett'; did you mean 'dispatcher set'?" },
        { "berth dispatchr set x", "unknown command 'dispatchr'; did you mean 'dispatcher'?" },
        { "berth dispatcher", "'berth dispatcher' needs one more word: ls, set" },
        { "berth", "a command is wanted; 'berth --help' lists them" },
        { "berth wait", "'berth wait' needs more: ID..." },
        { "berth wait 1 2 3 4", "'berth wait' takes no '4'" },
        { "berth dispatcher ls -- x", "'berth dispatcher ls' takes no 'x'" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_rc(run(f, cases[i].line), BERTH_EUSAGE);
        assert_int_equal(f->err.code, BERTH_EUSAGE);
        assert_string_equal(f->err.message, cases[i].message);
    }
}

static void too_many_options_or_operands_are_refused(void **state)
{
    struct fixture *f = *state;
    static char *words[BERTH_ARGS_OPERANDS_MAX + 4];
    static char name[] = "berth", command[] = "submit", operand[] = "x", flag[] = "--json";
    words[0] = name;
    words[1] = command;
    for (int i = 0; i <= BERTH_ARGS_OPERANDS_MAX; i++)
        words[2 + i] = operand;
    assert_rc(berth_args_parse(&f->args, &program, BERTH_ARGS_OPERANDS_MAX + 2, words, &f->err), 0);
    assert_rc(berth_args_parse(&f->args, &program, BERTH_ARGS_OPERANDS_MAX + 3, words, &f->err),
              BERTH_EUSAGE);
    assert_string_equal(f->err.message, "more than 10000 operands");

    for (int i = 0; i <= BERTH_ARGS_GIVEN_MAX; i++)
        words[2 + i] = flag;
    assert_rc(berth_args_parse(&f->args, &program, BERTH_ARGS_GIVEN_MAX + 3, words, &f->err),
              BERTH_EUSAGE);
    assert_string_equal(f->err.message, "more than 1024 options");
}

static void a_program_without_commands_takes_operands(void **state)
{
    struct fixture *f = *state;
    static const struct berth_program plain = {
        .name = "berthd", .summary = "the broker", .settings = top_settings, .settings_count = 3
    };

    assert_rc(parse_as(f, &plain, "berthd --json"), 0);
    assert_rc(berth_args_apply(&f->args, &f->top, NULL, &f->err), 0);
    assert_true(f->top.is_json);
    assert_rc(parse_as(f, &plain, "berthd x"), BERTH_EUSAGE);
    assert_string_equal(f->err.message, "'berthd' takes no 'x'");
}

static void help_is_answered_whatever_else_is_missing(void **state)
{
    struct fixture *f = *state;
    static const char *const lines[] = { "berth --help", "berth wait --help", "berth -h",
                                         "berth dispatcher --help" };
    for (size_t i = 0; i < 4; i++) {
        assert_rc(parse(f, lines[i]), 0);
        assert_true(f->args.wants_help);
    }
    assert_rc(parse(f, "berth submit -- --help"), 0);
    assert_false(f->args.wants_help);
    assert_rc(parse(f, "berth --version"), 0);
    assert_true(f->args.wants_version);
}

static void the_help_of_a_command_shows_examples_first(void **state)
{
    struct fixture *f = *state;
    BERTH_AUTO(berth_buf) buf = berth_buf_new(10000);
    assert_rc(parse(f, "berth submit --help"), 0);

    assert_rc(berth_args_help(&f->args, buf), 0);

    assert_string_equal(berth_buf_text(buf),
                        "berth submit: submit a job\n"
                        "\n"
                        "Examples:\n"
                        "  berth submit -d newsletter -- date\n"
                        "\n"
                        "Usage:\n"
                        "  berth submit [OPTION...] [-- COMMAND [ARG...]]\n"
                        "\n"
                        "Options:\n"
                        "  -d, --dispatcher NAME     where the job goes\n"
                        "      --handler NAME        what runs it\n"
                        "  -n, --max-attempts N      how often it is tried\n"
                        "  -w, --wait                wait for its end\n"
                        "  -c, --context K=V         a field of its context (repeatable)\n"
                        "\n"
                        "Options of every command:\n"
                        "      --broker URL          the broker to talk to [$BERTH_TEST_URL]\n"
                        "      --connect-timeout TIME\n"
                        "                            give up after TIME\n"
                        "      --json                print JSON\n"
                        "\n"
                        "      --version             print the version\n"
                        "  -h, --help                print this help\n");
}

static void the_help_of_the_program_lists_its_commands(void **state)
{
    struct fixture *f = *state;
    BERTH_AUTO(berth_buf) buf = berth_buf_new(10000);
    assert_rc(parse(f, "berth --help"), 0);

    assert_rc(berth_args_help(&f->args, buf), 0);

    const char *text = berth_buf_text(buf);
    assert_int_equal(strncmp(text, "berth: submit jobs and look after them\n\nExamples:\n", 49), 0);
    assert_non_null(strstr(text, "  berth [OPTION...] COMMAND ...\n"));
    assert_non_null(strstr(text, "  dispatcher set            make or change one\n"));
    assert_null(strstr(text, "--handler"));
}

static void a_help_without_room_says_so(void **state)
{
    struct fixture *f = *state;
    BERTH_AUTO(berth_buf) buf = berth_buf_new(100);
    assert_rc(parse(f, "berth --help"), 0);
    assert_rc(berth_args_help(&f->args, buf), -EMSGSIZE);
}

static void the_version_is_printed_with_the_name(void **state)
{
    struct fixture *f = *state;
    BERTH_AUTO(berth_buf) buf = berth_buf_new(100);
    assert_rc(parse(f, "berth --version"), 0);
    assert_rc(berth_args_version(&f->args, buf), 0);
    assert_string_equal(berth_buf_text(buf), "berth " BERTH_VERSION "\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_may_stand_before_and_after_command_and_operands),
        TEST(what_follows_two_dashes_is_untouched),
        TEST(a_single_dash_is_an_operand),
        TEST(a_value_may_begin_with_a_dash),
        TEST(letters_of_flags_may_be_joined),
        TEST(the_last_of_several_wins),
        TEST(a_flag_wins_over_the_environment_and_that_over_the_default),
        TEST(commands_of_two_words_are_found),
        TEST(each_mistake_is_a_usage_error_that_helps),
        TEST(too_many_options_or_operands_are_refused),
        TEST(a_program_without_commands_takes_operands),
        TEST(help_is_answered_whatever_else_is_missing),
        TEST(the_help_of_a_command_shows_examples_first),
        TEST(the_help_of_the_program_lists_its_commands),
        TEST(a_help_without_room_says_so),
        TEST(the_version_is_printed_with_the_name),
    };
    return berth_test_main(tests, NULL, NULL);
}
