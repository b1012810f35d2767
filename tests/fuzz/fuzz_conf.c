/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a configuration file: read or refused with a sentence, never worse. What was read
 * holds what the table promised.
 */
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/conf.h"
#include "base/text.h"

#define LEASE_MS_MIN 1000
#define LEASE_MS_MAX 600000

struct target {
    const char *listen, *name;
    int64_t lease_ms, priority;
    uint64_t limit, stack_bytes;
    bool is_paused;
    int mode;
    struct berth_text_list plugins;
};

static const char *const modes[] = { "reject", "existing", NULL };

#define ROW(name_, type_, member_, ...)                                                            \
    {                                                                                              \
        .name = (name_), .type = (type_), .offset = offsetof(struct target, member_), __VA_ARGS__  \
    }

static const struct berth_setting settings[] = {
    ROW("listen", BERTH_SETTING_URL, listen, ),
    ROW("name", BERTH_SETTING_NAME, name, ),
    ROW("lease", BERTH_SETTING_DURATION, lease_ms, .min = LEASE_MS_MIN, .max = LEASE_MS_MAX),
    ROW("priority", BERTH_SETTING_I64, priority, .min = -100, .max = 100),
    ROW("limit", BERTH_SETTING_U64, limit, .min = 1, .max = 100000),
    ROW("stack", BERTH_SETTING_BYTES, stack_bytes, .max = 1 << 30),
    ROW("paused", BERTH_SETTING_FLAG, is_paused, ),
    ROW("mode", BERTH_SETTING_CHOICE, mode, .choices = modes),
    ROW("plugin", BERTH_SETTING_LIST, plugins, ),
};

#define SETTINGS_COUNT (sizeof settings / sizeof settings[0])

static int begin(void *arg, const char *name, void **ret_target, struct berth_error *err)
{
    (void)err;
    BERTH_ASSERT(berth_name_is_valid(name));
    *ret_target = arg;
    return 0;
}

static void check_target(const struct target *target)
{
    BERTH_ASSERT(!target->name || berth_name_is_valid(target->name));
    BERTH_ASSERT(target->lease_ms == 0 || target->lease_ms >= LEASE_MS_MIN);
    BERTH_ASSERT(target->lease_ms <= LEASE_MS_MAX);
    BERTH_ASSERT(target->priority >= -100 && target->priority <= 100);
    BERTH_ASSERT(target->limit <= 100000);
    BERTH_ASSERT(target->mode == 0 || target->mode == 1);
    BERTH_ASSERT(target->plugins.count <= BERTH_TEXT_LIST_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct target target = { .limit = 0 };
    const struct berth_conf_section sections[] = {
        { .kind = "broker",
          .settings = settings,
          .settings_count = SETTINGS_COUNT,
          .target = &target },
        { .kind = "dispatcher",
          .is_named = true,
          .settings = settings,
          .settings_count = SETTINGS_COUNT,
          .begin = begin },
    };
    struct berth_conf conf;
    berth_conf_init(&conf);
    struct berth_error err = { .code = 0 };
    int rc = berth_conf_parse(&conf, "f", (struct berth_slice){ data, bytes }, sections, 2, &target,
                              &err);
    BERTH_ASSERT(rc <= 0);
    BERTH_ASSERT(rc == 0 || err.code == rc);
    BERTH_ASSERT(rc == 0 || memchr(err.message, '\0', sizeof err.message));
    check_target(&target);
    berth_conf_fini(&conf);
    return 0;
}
