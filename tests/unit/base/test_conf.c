/* SPDX-License-Identifier: MIT
 *
 * Configuration files: what is read, and that each mistake is named with file and line.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/text.h"
#include "support/tempdir.h"

struct broker {
    const char *listen;
    int64_t lease_ms;
    struct berth_text_list plugins;
};

struct dispatcher {
    char name[BERTH_NAME_BYTES_MAX + 1];
    uint64_t limit;
};

struct fixture {
    struct broker broker;
    struct dispatcher dispatchers[8];
    size_t count;
    struct berth_conf conf;
    struct berth_error err;
};

static const struct berth_setting broker_settings[] = {
    { .name = "listen", .type = BERTH_SETTING_URL, .offset = offsetof(struct broker, listen) },
    { .name = "lease",
      .type = BERTH_SETTING_DURATION,
      .offset = offsetof(struct broker, lease_ms),
      .min = 1000,
      .max = 600000 },
    { .name = "plugin", .type = BERTH_SETTING_LIST, .offset = offsetof(struct broker, plugins) },
};

static const struct berth_setting dispatcher_settings[] = {
    { .name = "limit",
      .type = BERTH_SETTING_U64,
      .offset = offsetof(struct dispatcher, limit),
      .min = 1,
      .max = 100000 },
};

static int begin(void *arg, const char *name, void **ret_target, struct berth_error *err)
{
    struct fixture *f = arg;
    if (strcmp(name, "forbidden") == 0)
        return berth_fail(err, BERTH_ECONF, "this name is taken");
    struct dispatcher *dispatcher = &f->dispatchers[f->count++];
    (void)snprintf(dispatcher->name, sizeof dispatcher->name, "%s", name);
    *ret_target = dispatcher;
    return 0;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    berth_conf_init(&f->conf);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    berth_conf_fini(&f->conf);
    free(f);
    return 0;
}

static int parse(struct fixture *f, struct berth_slice text)
{
    const struct berth_conf_section sections[] = {
        { .kind = "broker",
          .settings = broker_settings,
          .settings_count = 3,
          .target = &f->broker },
        { .kind = "dispatcher",
          .is_named = true,
          .settings = dispatcher_settings,
          .settings_count = 1,
          .begin = begin },
    };
    return berth_conf_parse(&f->conf, "b.conf", text, sections, 2, f, &f->err);
}

static void sections_and_keys_are_read(void **state)
{
    struct fixture *f = *state;

    assert_rc(parse(f, berth_slice_of("# comment\r\n"
                                      "; another\n"
                                      "\n"
                                      "[broker]\n"
                                      "listen=tcp://127.0.0.1:7411\n"
                                      "  lease \t=  10s  \n"
                                      "plugin = a.so\n"
                                      "plugin = b = ; # \"c\"\n"
                                      "[dispatcher \"newsletter\"]\n"
                                      "limit = 5\n"
                                      "[ dispatcher  \"auth\" ]\n"
                                      "limit = 50")),
              0);

    assert_string_equal(f->broker.listen, "tcp://127.0.0.1:7411");
    assert_true(f->broker.lease_ms == 10000);
    assert_int_equal(f->broker.plugins.count, 2);
    assert_string_equal(f->broker.plugins.items[1], "b = ; # \"c\"");
    assert_int_equal(f->count, 2);
    assert_string_equal(f->dispatchers[0].name, "newsletter");
    assert_true(f->dispatchers[0].limit == 5);
    assert_string_equal(f->dispatchers[1].name, "auth");
    assert_true(f->dispatchers[1].limit == 50);
}

static void an_empty_file_is_fine(void **state)
{
    struct fixture *f = *state;
    assert_rc(parse(f, berth_slice_of("")), 0);
    assert_rc(parse(f, berth_slice_of("\n\n")), 0);
}

static void a_name_of_full_length_is_read_whole(void **state)
{
    struct fixture *f = *state;
    char name[BERTH_NAME_BYTES_MAX + 1], text[200];
    memset(name, 'n', sizeof name);
    name[BERTH_NAME_BYTES_MAX] = '\0';
    (void)snprintf(text, sizeof text, "[dispatcher \"%s\"]\nlimit = 1\n", name);

    assert_rc(parse(f, berth_slice_of(text)), 0);

    assert_string_equal(f->dispatchers[0].name, name);
}

static void each_mistake_is_named_with_file_and_line(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "[broker]\nlistn = x\n",
          "b.conf:2: unknown key 'listn' in section [broker]; did you mean 'listen'?" },
        { "[broker]\nquux = x\n", "b.conf:2: unknown key 'quux' in section [broker]" },
        { "[brocker]\n", "b.conf:1: unknown section [brocker]; did you mean [broker]?" },
        { "[quux]\n", "b.conf:1: unknown section [quux]" },
        { "\nlisten = x\n", "b.conf:2: key 'listen' stands before any section" },
        { "[broker]\nlisten\n", "b.conf:2: 'listen' is neither a section nor 'key = value'" },
        { "[broker]\n= x\n", "b.conf:2: unknown key '' in section [broker]" },
        { "[broker \"x\"]\n", "b.conf:1: section [broker] takes no name" },
        { "[dispatcher]\n", "b.conf:1: section [dispatcher] needs a name: [dispatcher \"name\"]" },
        { "[broker]\n\n[broker]\n",
          "b.conf:3: this section is a second time here; the first is in line 1" },
        { "[dispatcher \"a\"]\n[dispatcher \"b\"]\n[dispatcher \"a\"]\n",
          "b.conf:3: this section is a second time here; the first is in line 1" },
        { "[dispatcher \"a\"]\nlimit = 1\nlimit = 2\n",
          "b.conf:3: key 'limit' is a second time here; the first is in line 2" },
        { "[dispatcher \"a\"]\nlimit = \"5\"\n",
          "b.conf:2: limit: '\"5\"' is not allowed; a whole number from 1 to 100000 is wanted" },
        { "[broker]\nlease = 10\n", "b.conf:2: lease: '10' is not allowed; a number with a unit "
                                    "(ms s m h d), from 1s to 10m, is "
                                    "wanted" },
        { "[dispatcher \"forbidden\"]\n", "b.conf:1: this name is taken" },
        { "[dispatcher \"a b\"]\n", "b.conf:1: dispatcher: 'a b' is not a name; allowed are 1 to "
                                    "64 letters, digits and . _ -, "
                                    "the first a letter or digit" },
        { "[dispatcher a]\n",
          "b.conf:1: '[dispatcher a]' is not a section; [kind] or [kind \"name\"] is wanted" },
        { "[broker\n",
          "b.conf:1: '[broker' is not a section; [kind] or [kind \"name\"] is wanted" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        f->count = 0;
        assert_rc(parse(f, berth_slice_of(cases[i].text)), BERTH_ECONF);
        assert_string_equal(f->err.message, cases[i].message);
    }
}

static void malformed_sections_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = { "[]",
                                       "[ ]",
                                       "[dispatcher a]",
                                       "[dispatcher \"a]",
                                       "[dispatcher a\"]",
                                       "[\"a\"]",
                                       "[dispatcher \"a\" b]",
                                       "[broker]]",
                                       "[dispatcher \"\"]",
                                       "[broker] x" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_rc(parse(f, berth_slice_of(bad[i])), BERTH_ECONF);
}

static void a_file_that_is_no_text_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_rc(parse(f, (struct berth_slice){ "[broker]\0x", 10 }), BERTH_ECONF);

    assert_string_equal(f->err.message, "'b.conf' has a NUL byte: it is not a text file");
}

static void a_file_that_cannot_be_opened_is_named(void **state)
{
    struct fixture *f = *state;

    assert_rc(berth_conf_load(&f->conf, "/nonexistent/b.conf", NULL, 0, NULL, &f->err), -ENOENT);

    assert_string_equal(f->err.message, "open '/nonexistent/b.conf': No such file or directory");
    assert_rc(berth_conf_load(&f->conf, "/", NULL, 0, NULL, &f->err), -EISDIR);
}

static void a_file_is_loaded_from_disk_within_a_maximum(void **state)
{
    struct fixture *f = *state;
    char *dir = tempdir_new(), *path = tempdir_path(dir, "b.conf");
    const struct berth_conf_section section = {
        .kind = "broker", .settings = broker_settings, .settings_count = 3, .target = &f->broker
    };
    tempdir_write(path, "[broker]\nlisten = ipc://x\n");
    assert_rc(berth_conf_load(&f->conf, path, &section, 1, f, &f->err), 0);
    assert_string_equal(f->broker.listen, "ipc://x");

    char *large = malloc(BERTH_CONF_BYTES_MAX + 2);
    assert_non_null(large);
    memset(large, '\n', BERTH_CONF_BYTES_MAX + 1);
    large[BERTH_CONF_BYTES_MAX + 1] = '\0';
    tempdir_write(path, large);
    assert_rc(berth_conf_load(&f->conf, path, &section, 1, f, &f->err), BERTH_ECONF);
    assert_non_null(strstr(f->err.message, "is larger than 1048576 bytes"));

    free(large);
    free(path);
    tempdir_free(dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sections_and_keys_are_read),
        TEST(an_empty_file_is_fine),
        TEST(a_name_of_full_length_is_read_whole),
        TEST(each_mistake_is_named_with_file_and_line),
        TEST(malformed_sections_are_refused),
        TEST(a_file_that_is_no_text_is_refused),
        TEST(a_file_that_cannot_be_opened_is_named),
        TEST(a_file_is_loaded_from_disk_within_a_maximum),
    };
    return berth_test_main(tests, NULL, NULL);
}
