/* SPDX-License-Identifier: MIT
 *
 * Walks a message and its table of rules. A message that protobuf-c has unpacked is looked at
 * through its descriptor, so that one function serves all fields of a kind.
 */
#include "proto/rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/cleanup.h"
#include "proto/columns.h"

#define SHOWN_BYTES_MAX 60 /* of a refused value in a sentence */
#define WHERE_TEXT_MAX  64

/* A field of one message, with its rule. */
struct at {
    struct berth_checker *checker;
    const struct berth_rules *rules;
    const struct berth_rule *rule;
    const ProtobufCMessage *message;
    const ProtobufCFieldDescriptor *field;
    size_t outer_count; /* of the columns of a RULE_PART */
    const char *outer_thing;
};

static const void *member_of(const ProtobufCMessage *message, unsigned offset)
{
    return (const char *)message + offset;
}

static const ProtobufCFieldDescriptor *field_get(const struct at *at, uint32_t number)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(at->rules->descriptor, number);
    BERTH_ASSERT(field);
    return field;
}

static size_t count_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    BERTH_ASSERT(field->label == PROTOBUF_C_LABEL_REPEATED);
    return *(const size_t *)member_of(message, field->quantifier_offset);
}

/* The elements of a repeated field. */
static const void *elements_of(const ProtobufCMessage *message,
                               const ProtobufCFieldDescriptor *field)
{
    return *(const void *const *)member_of(message, field->offset);
}

static bool is_set(const struct at *at)
{
    return *(const protobuf_c_boolean *)member_of(at->message, at->field->quantifier_offset);
}

/* How many things this column is beside, and what they are called. */
static size_t things_of(const struct at *at, const char **ret_thing)
{
    uint32_t leader = at->rule->leader;
    if (leader == 0) {
        *ret_thing = at->outer_thing;
        return at->outer_count;
    }
    for (size_t i = 0; i < at->rules->count; i++)
        if (at->rules->rules[i].number == leader)
            *ret_thing = at->rules->rules[i].thing;
    return count_of(at->message, field_get(at, leader));
}

/* " of job 2", or nothing if there is only one. */
static const char *where(const struct at *at, size_t index, char text[static WHERE_TEXT_MAX])
{
    const char *thing = NULL;
    size_t count = things_of(at, &thing);
    text[0] = '\0';
    if (count > 1)
        (void)snprintf(text, WHERE_TEXT_MAX, " of %s %zu", thing, index);
    return text;
}

/* For a sentence: cut, and with what is not printable ASCII replaced. */
static const char *shown(struct berth_slice bytes, char text[static SHOWN_BYTES_MAX + 1])
{
    const char *from = bytes.data;
    size_t count = bytes.bytes < SHOWN_BYTES_MAX ? bytes.bytes : SHOWN_BYTES_MAX;
    for (size_t i = 0; i < count; i++) {
        text[i] = from[i];
        if (from[i] < ' ' || from[i] > '~')
            text[i] = '?';
    }
    text[count] = '\0';
    return text;
}

/* Numbers. */

static bool is_signed(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_SINT32 || field->type == PROTOBUF_C_TYPE_INT64 ||
           field->type == PROTOBUF_C_TYPE_ENUM;
}

/* Element `index` at `from`; the bits of a signed one are those of an int64_t. */
static uint64_t number_at(const ProtobufCFieldDescriptor *field, const void *from, size_t index)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32: return ((const uint32_t *)from)[index];
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT64: return ((const uint64_t *)from)[index];
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_ENUM: return (uint64_t)(int64_t)((const int32_t *)from)[index];
    default: BERTH_UNREACHABLE();
    }
}

static bool is_within(const struct at *at, uint64_t value)
{
    if (is_signed(at->field) && (int64_t)value < 0)
        return (int64_t)value >= at->rule->min;
    return value <= at->rule->max && (at->rule->min <= 0 || value >= (uint64_t)at->rule->min);
}

static int fail_number(const struct at *at, uint64_t value, size_t index)
{
    char place[WHERE_TEXT_MAX] = "", number[24];
    if (at->field->label == PROTOBUF_C_LABEL_REPEATED)
        (void)where(at, index, place);
    if (is_signed(at->field))
        (void)snprintf(number, sizeof number, "%" PRId64, (int64_t)value);
    else
        (void)snprintf(number, sizeof number, "%" PRIu64, value);
    return RULE_FAIL(at->checker, at->field->name, BERTH_EPROTO,
                     "%s %s%s: allowed is %" PRId64 " to %" PRIu64, at->field->name, number, place,
                     at->rule->min, at->rule->max);
}

static int fail_missing(const struct at *at)
{
    return RULE_FAIL(at->checker, at->field->name, BERTH_EPROTO,
                     "%s is missing: allowed is %" PRId64 " to %" PRIu64, at->field->name,
                     at->rule->min, at->rule->max);
}

static int scalar_check(const struct at *at)
{
    bool is_here = is_set(at);
    uint64_t value =
        is_here ? number_at(at->field, member_of(at->message, at->field->offset), 0) : 0;
    if (at->rule->presence == RULE_IF_SET && !is_here)
        return 0;
    if (at->rule->presence == RULE_UNLESS_0 && value == 0)
        return 0;
    if (is_within(at, value))
        return 0;
    return is_here ? fail_number(at, value, 0) : fail_missing(at);
}

/* Columns. */

/* The number of elements: that of the leader, or none. A leader has a range of its own. */
static int column_count_check(const struct at *at)
{
    const char *thing = NULL;
    size_t count = count_of(at->message, at->field), wanted = things_of(at, &thing);
    const struct berth_rule *rule = at->rule;
    if (rule->leader == rule->number) {
        if (count > rule->count_max)
            return RULE_FAIL(at->checker, at->field->name, -EMSGSIZE,
                             "%zu %ss in one message; allowed are %zu to %zu", count, rule->thing,
                             rule->count_min, rule->count_max);
        if (count < rule->count_min)
            return RULE_FAIL(at->checker, at->field->name, BERTH_EPROTO,
                             "%s is empty; allowed are %zu to %zu %ss", at->field->name,
                             rule->count_min, rule->count_max, rule->thing);
        return 0;
    }
    if (count == 0 || count == wanted)
        return 0;
    return RULE_FAIL(at->checker, at->field->name, BERTH_EPROTO, "%s has %zu values for %zu %s%s",
                     at->field->name, count, wanted, thing, wanted == 1 ? "" : "s");
}

static int column_check(const struct at *at)
{
    int rc = column_count_check(at);
    if (rc < 0)
        return rc;
    const char *thing = NULL;
    size_t count = count_of(at->message, at->field);
    if (count == 0)
        return things_of(at, &thing) > 0 && !is_within(at, 0) ? fail_missing(at) : 0;
    const void *elements = elements_of(at->message, at->field);
    for (size_t i = 0; i < count; i++) {
        uint64_t value = number_at(at->field, elements, i);
        if (!is_within(at, value))
            return fail_number(at, value, i);
    }
    return 0;
}

/* Indices from `first` on; 0 below it means none. */
static int index_check(const struct at *at, uint32_t first)
{
    int rc = column_count_check(at);
    if (rc < 0)
        return rc;
    const char *thing = NULL;
    const ProtobufCFieldDescriptor *table = field_get(at, at->rule->of);
    size_t count = count_of(at->message, at->field), table_count = count_of(at->message, table);
    if (count == 0 && first == 0 && table_count == 0 && things_of(at, &thing) > 0)
        return RULE_FAIL(at->checker, table->name, BERTH_EPROTO, "%s is empty: each %s needs one",
                         table->name, thing);
    const uint32_t *elements = elements_of(at->message, at->field);
    for (size_t i = 0; i < count; i++) {
        char place[WHERE_TEXT_MAX];
        if (elements[i] < table_count + first)
            continue;
        return RULE_FAIL(at->checker, at->field->name, BERTH_EPROTO,
                         "%s %" PRIu32 "%s: %s has %zu entries, counted from %" PRIu32,
                         at->field->name, elements[i], where(at, i, place), table->name,
                         table_count, first);
    }
    return 0;
}

static int lengths_check(const struct at *at)
{
    int rc = column_count_check(at);
    if (rc < 0)
        return rc;
    size_t count = count_of(at->message, at->field);
    const uint32_t *elements = elements_of(at->message, at->field);
    for (size_t i = 0; i < count; i++) {
        char place[WHERE_TEXT_MAX];
        if (elements[i] <= at->rule->max)
            continue;
        return RULE_FAIL(at->checker, at->field->name, -EMSGSIZE,
                         "%s %" PRIu32 "%s: allowed is 0 to %" PRIu64, at->field->name, elements[i],
                         where(at, i, place), at->rule->max);
    }
    const ProtobufCFieldDescriptor *joined = field_get(at, at->rule->of);
    const ProtobufCBinaryData *bytes = member_of(at->message, joined->offset);
    rc = berth_spans_check(at->field->name, elements, count, joined->name, bytes->len,
                           at->checker->err);
    if (rc < 0)
        at->checker->field = at->field->name;
    return rc;
}

/* Bytes. */

static int fail_size(const struct at *at, size_t bytes, size_t bytes_min, size_t bytes_max)
{
    if (bytes > bytes_max && at->rule->kind != RULE_ID)
        return RULE_FAIL(at->checker, at->field->name, -EMSGSIZE,
                         "%s has %zu bytes; allowed are %zu to %zu", at->field->name, bytes,
                         bytes_min, bytes_max);
    if (bytes_min == bytes_max)
        return RULE_FAIL(at->checker, at->field->name, BERTH_EPROTO,
                         "%s has %zu bytes; exactly %zu are allowed", at->field->name, bytes,
                         bytes_min);
    return RULE_FAIL(at->checker, at->field->name, BERTH_EPROTO,
                     "%s has %zu bytes; allowed are %zu to %zu", at->field->name, bytes, bytes_min,
                     bytes_max);
}

static int name_check(const struct at *at, struct berth_slice name)
{
    char text[SHOWN_BYTES_MAX + 1];
    if (berth_name_slice_is_valid(name) && name.bytes <= at->rule->max)
        return 0;
    return RULE_FAIL(at->checker, at->field->name, BERTH_EPROTO,
                     "%s: '%s' is not a name; allowed are 1 to %" PRIu64
                     " letters, digits and . _ -, the first a letter or digit",
                     at->field->name, shown(name, text), at->rule->max);
}

static int text_check(const struct at *at, struct berth_slice text)
{
    if (berth_utf8_is_valid(text))
        return 0;
    return RULE_FAIL(at->checker, at->field->name, BERTH_EPROTO, "%s is not valid UTF-8",
                     at->field->name);
}

static int bytes_check(const struct at *at)
{
    const struct berth_rule *rule = at->rule;
    struct berth_slice bytes = { .bytes = 0 };
    if (is_set(at))
        bytes = berth_slice_from(
            *(const ProtobufCBinaryData *)member_of(at->message, at->field->offset));
    if (rule->presence == RULE_UNLESS_0 && bytes.bytes == 0)
        return 0;
    if (rule->kind == RULE_NAME)
        return name_check(at, bytes);
    size_t bytes_min = rule->kind == RULE_ID ? BERTH_ID_BYTES : (size_t)rule->min;
    size_t bytes_max = rule->kind == RULE_ID ? BERTH_ID_BYTES : (size_t)rule->max;
    if (rule->kind == RULE_KEY) {
        bytes_min = 1;
        bytes_max = BERTH_KEY_BYTES_MAX;
    }
    if (bytes.bytes < bytes_min || bytes.bytes > bytes_max)
        return fail_size(at, bytes.bytes, bytes_min, bytes_max);
    return rule->kind == RULE_TEXT || rule->kind == RULE_KEY ? text_check(at, bytes) : 0;
}

static int table_check(const struct at *at)
{
    size_t count = count_of(at->message, at->field);
    if (count > at->rule->count_max)
        return RULE_FAIL(at->checker, at->field->name, -EMSGSIZE,
                         "%s has %zu entries; allowed are 0 to %zu", at->field->name, count,
                         at->rule->count_max);
    const ProtobufCBinaryData *names = elements_of(at->message, at->field);
    for (size_t i = 0; i < count; i++) {
        int rc = name_check(at, berth_slice_from(names[i]));
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int list_check(const struct at *at)
{
    int rc = column_count_check(at);
    if (rc < 0)
        return rc;
    size_t count = count_of(at->message, at->field);
    const ProtobufCBinaryData *items = elements_of(at->message, at->field);
    for (size_t i = 0; i < count; i++)
        if (items[i].len > at->rule->max)
            return fail_size(at, items[i].len, 0, (size_t)at->rule->max);
    return 0;
}

static int field_check(const struct at *at)
{
    BERTH_ASSERT(at->rule->number == at->field->id);
    switch (at->rule->kind) {
    case RULE_ANY:
    case RULE_BLOB: return 0;
    case RULE_NUMBER:
        return at->field->label == PROTOBUF_C_LABEL_REPEATED ? column_check(at) : scalar_check(at);
    case RULE_INDEX: return index_check(at, 0);
    case RULE_INDEX1: return index_check(at, 1);
    case RULE_LENGTHS: return lengths_check(at);
    case RULE_ID:
    case RULE_NAME:
    case RULE_KEY:
    case RULE_TEXT:
    case RULE_BYTES: return bytes_check(at);
    case RULE_NAMES: return table_check(at);
    case RULE_LIST: return list_check(at);
    case RULE_ROWS:
    case RULE_PART:
    case RULE_INNER: break; /* in a message of the envelope, and in a row of one, only */
    }
    BERTH_UNREACHABLE();
}

/* Messages. Those of the envelope hold rows and parts, a row may hold a message, and that holds
 * none: nothing recurses. */

static struct at at_field(const struct berth_rules *rules, size_t index,
                          const ProtobufCMessage *message, struct berth_checker *checker)
{
    BERTH_ASSERT(message->descriptor == rules->descriptor);
    BERTH_ASSERT(rules->count == rules->descriptor->n_fields);
    return (struct at){ .checker = checker,
                        .rules = rules,
                        .rule = &rules->rules[index],
                        .message = message,
                        .field = &rules->descriptor->fields[index] };
}

/* A message in a row. */
static int inner_check(const struct at *row)
{
    const struct berth_rules *rules = row->rule->inside;
    const ProtobufCMessage *message = elements_of(row->message, row->field);
    if (!message)
        return RULE_FAIL(row->checker, row->field->name, BERTH_EPROTO, "%s is missing",
                         row->field->name);
    for (size_t i = 0; i < rules->count; i++) {
        struct at at = at_field(rules, i, message, row->checker);
        int rc = field_check(&at);
        if (rc < 0)
            return rc;
    }
    return rules->check ? rules->check(row->checker, message) : 0;
}

/* A row, or a part with columns beside `outer_count` things. */
static int inside_check(const struct at *outer, const ProtobufCMessage *message, size_t outer_count,
                        const char *outer_thing)
{
    const struct berth_rules *rules = outer->rule->inside;
    for (size_t i = 0; i < rules->count; i++) {
        struct at at = at_field(rules, i, message, outer->checker);
        at.outer_count = outer_count;
        at.outer_thing = outer_thing;
        int rc = at.rule->kind == RULE_INNER ? inner_check(&at) : field_check(&at);
        if (rc < 0)
            return rc;
    }
    return rules->check ? rules->check(outer->checker, message) : 0;
}

static int rows_check(const struct at *at)
{
    size_t count = count_of(at->message, at->field);
    if (count > at->rule->count_max)
        return RULE_FAIL(at->checker, at->field->name, -EMSGSIZE,
                         "%zu %ss in one message; allowed are 0 to %zu", count, at->rule->thing,
                         at->rule->count_max);
    const ProtobufCMessage *const *rows = elements_of(at->message, at->field);
    for (size_t i = 0; i < count; i++) {
        int rc = inside_check(at, rows[i], 0, NULL);
        if (rc < 0)
            return berth_fail_wrap(at->checker->err, rc, "%s %zu", at->rule->thing, i);
    }
    return 0;
}

static int part_check(const struct at *at)
{
    const ProtobufCMessage *part = elements_of(at->message, at->field);
    if (!part)
        return 0;
    const char *thing = NULL;
    size_t count = things_of(at, &thing);
    return inside_check(at, part, count, thing);
}

int berth_rules_check(const struct berth_rules *rules, const ProtobufCMessage *message,
                      struct berth_checker *checker)
{
    for (size_t i = 0; i < rules->count; i++) {
        struct at at = at_field(rules, i, message, checker);
        int rc = at.rule->kind == RULE_ROWS   ? rows_check(&at)
                 : at.rule->kind == RULE_PART ? part_check(&at)
                                              : field_check(&at);
        if (rc < 0)
            return rc;
    }
    return rules->check ? rules->check(checker, message) : 0;
}

static int u64_compare(const void *a, const void *b)
{
    uint64_t left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return (left > right) - (left < right);
}

static bool is_ascending(const uint64_t *values, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (values[i - 1] >= values[i])
            return false;
    return true;
}

int berth_rules_check_unique(struct berth_checker *checker, const char *field,
                             const uint64_t *values, size_t count)
{
    /* Attempt ids grow, and whoever keeps them in order of their arrival sends them so. */
    if (is_ascending(values, count))
        return 0;
    BERTH_AUTO_MEM uint64_t *sorted = calloc(count, sizeof *sorted);
    if (!sorted)
        return RULE_FAIL(checker, field, -ENOMEM, "check %zu values of %s", count, field);
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, u64_compare);
    for (size_t i = 1; i < count; i++)
        if (sorted[i - 1] == sorted[i])
            return RULE_FAIL(checker, field, BERTH_EPROTO, "%s %" PRIu64 " stands twice", field,
                             sorted[i]);
    return 0;
}
