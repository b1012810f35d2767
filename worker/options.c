/* SPDX-License-Identifier: MIT */
#include "worker/options.h"

#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "base/log.h"
#include "worker/setup.h"

/* The first SETTINGS_IN_FILE rows are the section [worker] of the file, too. */
static const struct berth_setting settings[] = {
    { .name = "broker",
      .type = BERTH_SETTING_URL,
      .offset = offsetof(struct options, broker),
      .value = "URL",
      .env = "BERTH_URL",
      .help = "the broker to work for (default: " WORKER_URL_DEFAULT ")" },
    { .name = "name",
      .type = BERTH_SETTING_NAME,
      .offset = offsetof(struct options, name),
      .value = "NAME",
      .help = "what this worker is called (default: HOSTNAME-PID)" },
    { .name = "capacity",
      .type = BERTH_SETTING_U64,
      .offset = offsetof(struct options, capacity),
      .min = 1,
      .max = AGENT_CAPACITY_MAX,
      .value = "N",
      .help = "run N attempts at once (default: 256)" },
    { .name = "suspended_max",
      .type = BERTH_SETTING_U64,
      .offset = offsetof(struct options, suspended_max),
      .min = 1,
      .max = AGENT_CAPACITY_MAX - 1,
      .value = "N",
      .help = "hold N attempts more that wait for children or a time (default: 4096)" },
    { .name = "plugin",
      .type = BERTH_SETTING_LIST,
      .offset = offsetof(struct options, plugins),
      .value = "FILE.so",
      .help = "offer the handlers of a plugin; may be given several times" },
    { .name = "allow_exec",
      .type = BERTH_SETTING_FLAG,
      .offset = offsetof(struct options, is_exec_allowed),
      .help = "run commands: whoever may submit jobs may then run any command here" },
    { .name = "work_dir",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct options, work_dir),
      .value = "DIR",
      .help = "run commands in DIR (default: where the worker was started)" },
    { .name = "log_level",
      .type = BERTH_SETTING_CHOICE,
      .offset = offsetof(struct options, log_level),
      .choices = berth_log_level_names,
      .value = "LEVEL",
      .help = "error, warn, info or debug (default: info)" },
    { .name = "config",
      .type = BERTH_SETTING_TEXT,
      .offset = offsetof(struct options, config),
      .value = "FILE",
      .env = "BERTH_CONFIG",
      .help = "read these settings from the section [worker] of FILE" },
    { .name = "child", /* what the keeper starts its child with */
      .type = BERTH_SETTING_I64,
      .offset = offsetof(struct options, child_fd),
      .min = 0,
      .max = INT_MAX },
    { .name = "alone", /* what it starts keepers for suspects with */
      .type = BERTH_SETTING_FLAG,
      .offset = offsetof(struct options, is_alone) },
};
#define SETTINGS_COUNT   (sizeof settings / sizeof *settings)
#define SETTINGS_IN_FILE 8

const struct berth_program options_program = {
    .name = "berth-worker",
    .summary = "runs jobs of a Berth broker",
    .examples = "  berth-worker --allow-exec\n"
                "  berth-worker --plugin ./mail.so --capacity 64\n"
                "  berth-worker --broker tcp://10.0.0.5:7411 --config /etc/berth/worker.conf\n",
    .settings = settings,
    .settings_count = SETTINGS_COUNT,
};

int options_parse(struct berth_args *ret_args, int argc, char *const *argv, struct berth_error *err)
{
    return berth_args_parse(ret_args, &options_program, argc, argv, err);
}

/* What no single setting says: a worker's attempts stand in one list. */
static int check_together(const struct options *options, struct berth_error *err)
{
    if (options->suspended_max > AGENT_CAPACITY_MAX - options->capacity)
        return berth_fail(err, BERTH_EUSAGE,
                          "suspended_max %" PRIu64 " beside capacity %" PRIu64
                          ": allowed are %d together",
                          options->suspended_max, options->capacity, AGENT_CAPACITY_MAX);
    if (options->plugins.count == 0 && !options->is_exec_allowed)
        return berth_fail(err, BERTH_EUSAGE,
                          "there is nothing to offer: give --plugin FILE.so or --allow-exec");
    return 0;
}

static int read_file(struct options *options, struct berth_error *err)
{
    const struct berth_conf_section section = { .kind = "worker",
                                                .settings = settings,
                                                .settings_count = SETTINGS_IN_FILE,
                                                .target = options };
    return berth_conf_load(&options->conf, options->config, &section, 1, NULL, err);
}

int options_read(struct options *ret_options, const struct berth_args *args,
                 struct berth_error *err)
{
    struct options *options = ret_options;
    *options = (struct options){ .broker = WORKER_URL_DEFAULT,
                                 .capacity = WORKER_CAPACITY_DEFAULT,
                                 .work_dir = ".",
                                 .config = berth_args_find(args, "config"),
                                 .log_level = BERTH_LOG_INFO,
                                 .child_fd = -1 };
    berth_conf_init(&options->conf);
    int rc = options->config ? read_file(options, err) : 0;
    if (rc >= 0)
        rc = berth_args_apply(args, options, NULL, err);
    if (rc >= 0)
        rc = check_together(options, err);
    if (rc < 0)
        options_fini(options);
    return rc;
}

void options_fini(struct options *options)
{
    berth_conf_fini(&options->conf);
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_same_list(const struct berth_text_list *a, const struct berth_text_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (!is_same(a->items[i], b->items[i]))
            return false;
    }
    return true;
}

const char *options_difference(const struct options *a, const struct options *b)
{
    if (!is_same(a->broker, b->broker))
        return "broker";
    if (!is_same(a->name, b->name))
        return "name";
    if (a->capacity != b->capacity)
        return "capacity";
    if (a->suspended_max != b->suspended_max)
        return "suspended_max";
    if (!is_same_list(&a->plugins, &b->plugins))
        return "plugin";
    if (a->is_exec_allowed != b->is_exec_allowed)
        return "allow_exec";
    return is_same(a->work_dir, b->work_dir) ? NULL : "work_dir";
}
