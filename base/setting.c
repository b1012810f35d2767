/* SPDX-License-Identifier: MIT
 *
 * Settings: checking one value and putting it where it belongs.
 */
#include "base/setting.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/endpoint.h"
#include "base/text.h"

#define SHOWN_MAX 60

static int apply_u64(const struct berth_setting *setting, const char *what, const char *text,
                     uint64_t *value, struct berth_error *err)
{
    uint64_t min = setting->min > 0 ? (uint64_t)setting->min : 0;
    uint64_t max = setting->max > 0 ? (uint64_t)setting->max : UINT64_MAX;
    if (setting->type == BERTH_SETTING_BYTES)
        return berth_bytes_parse(what, text, min, max, value, err);
    return berth_u64_parse(what, text, min, max, value, err);
}

static int apply_i64(const struct berth_setting *setting, const char *what, const char *text,
                     int64_t *value, struct berth_error *err)
{
    bool is_unbounded = setting->min == 0 && setting->max == 0;
    if (setting->type == BERTH_SETTING_DURATION)
        return berth_duration_parse(what, text, setting->min,
                                    setting->max > 0 ? setting->max : INT64_MAX, value, err);
    return berth_i64_parse(what, text, is_unbounded ? INT64_MIN : setting->min,
                           is_unbounded ? INT64_MAX : setting->max, value, err);
}

static int apply_i64_or_none(const struct berth_setting *setting, const char *what,
                             const char *text, int64_t *value, struct berth_error *err)
{
    if (setting->has_none && strcmp(text, "none") == 0) {
        *value = 0;
        return 0;
    }
    int rc = apply_i64(setting, what, text, value, err);
    return setting->has_none ? berth_or_none(rc, err) : rc;
}

static const char *choice_of(const void *arg, size_t index)
{
    const struct berth_setting *setting = arg;
    return setting->choices[index];
}

static int apply_choice(const struct berth_setting *setting, const char *what, const char *text,
                        int *choice, struct berth_error *err)
{
    char words[BERTH_ERROR_MESSAGE_MAX];
    size_t used = 0;
    int count = 0;
    words[0] = '\0';
    for (int i = 0; setting->choices[i]; i++, count++) {
        if (strcmp(setting->choices[i], text) == 0) {
            *choice = i;
            return 0;
        }
        if (used < sizeof words)
            used += (size_t)snprintf(words + used, sizeof words - used, "%s%s", i > 0 ? ", " : "",
                                     setting->choices[i]);
    }
    const char *near = berth_suggest(text, (size_t)count, choice_of, setting);
    if (near)
        return berth_fail(err, BERTH_EVALUE,
                          "%s: '%.*s' is not allowed; one of %s is wanted; did you mean '%s'?",
                          what, SHOWN_MAX, text, words, near);
    return berth_fail(err, BERTH_EVALUE, "%s: '%.*s' is not allowed; one of %s is wanted", what,
                      SHOWN_MAX, text, words);
}

static int apply_list(struct berth_text_list *list, const char *what, const char *text,
                      struct berth_error *err)
{
    if (list->count == BERTH_TEXT_LIST_MAX)
        return berth_fail(err, BERTH_EVALUE, "%s is given more than %d times", what,
                          BERTH_TEXT_LIST_MAX);
    list->items[list->count++] = text;
    return 0;
}

static int apply_text(const struct berth_setting *setting, const char *what, const char *text,
                      const char **value, struct berth_error *err)
{
    int rc = 0;
    struct berth_endpoint endpoint;
    if (setting->type == BERTH_SETTING_NAME)
        rc = berth_name_check(what, text, err);
    else if (setting->type == BERTH_SETTING_KEY)
        rc = berth_key_check(what, berth_slice_of(text), err);
    else if (setting->type == BERTH_SETTING_URL)
        rc = berth_endpoint_parse(what, text, &endpoint, err);
    if (rc == 0)
        *value = text;
    return rc;
}

int berth_setting_apply(const struct berth_setting *setting, const char *what, const char *text,
                        void *target, struct berth_error *err)
{
    if (setting->check) {
        int rc = setting->check(what, text, err);
        if (rc < 0)
            return rc;
    }
    void *member = (char *)target + setting->offset;
    switch (setting->type) {
    case BERTH_SETTING_FLAG: return berth_bool_parse(what, text, member, err);
    case BERTH_SETTING_LIST: return apply_list(member, what, text, err);
    case BERTH_SETTING_TEXT:
    case BERTH_SETTING_NAME:
    case BERTH_SETTING_KEY:
    case BERTH_SETTING_URL: return apply_text(setting, what, text, member, err);
    case BERTH_SETTING_U64:
    case BERTH_SETTING_BYTES: return apply_u64(setting, what, text, member, err);
    case BERTH_SETTING_I64:
    case BERTH_SETTING_DURATION: return apply_i64_or_none(setting, what, text, member, err);
    case BERTH_SETTING_CHOICE: return apply_choice(setting, what, text, member, err);
    }
    BERTH_UNREACHABLE();
}

const char *berth_setting_flag(const struct berth_setting *setting,
                               char flag[static BERTH_FLAG_TEXT_MAX])
{
    (void)snprintf(flag, BERTH_FLAG_TEXT_MAX, "--%s", setting->name);
    for (char *c = flag; *c != '\0'; c++)
        if (*c == '_')
            *c = '-';
    return flag;
}
