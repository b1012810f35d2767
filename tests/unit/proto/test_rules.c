/* SPDX-License-Identifier: MIT
 *
 * Every field has a rule, and every rule has an edge: each is tried on both sides of it, by the
 * tables themselves. What the bounds are is in test_validate.c.
 */
#include "support/berthtest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/rules.h"
#include "proto/wire.h"
#include "samples.h"

/* Bounds of single fields that another rule of the message makes narrower: the edge itself is not
 * taken there. */
static const char *const narrowed[] = {
    "worker_lease_ms", "renew_ms", "backoff_ms",     "culprit", "outcome", "refused",
    "rate_count",      "rate_ms",  "backoff_max_ms", "client",  "ordinal", "suspended_max"
};

#define TRIED_MAX 2000

struct fixture {
    struct berth_arena arena;
    struct berth_buf buf;
    struct berth_error err;
    const char *field; /* at fault */
    size_t edge_count;
    const struct berth_rule *tried[TRIED_MAX];
    size_t tried_count;
    /* What is being tried. */
    const struct sample *sample;
    uint32_t part;  /* the field that holds the sub-message, or 0 */
    uint32_t inner; /* and that of the sub-message in this one, or 0 */
    const struct berth_rules *rules;
    const struct berth_rule *rule;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    berth_arena_init(&f->arena, BERTH_WIRE_BUDGET_MAX);
    berth_buf_init(&f->buf, BERTH_FRAME_BYTES_MAX);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    berth_arena_fini(&f->arena);
    berth_buf_fini(&f->buf);
    free(f);
    return 0;
}

/* What lies at an offset of a message, as a pointer to `type`. */
#define AT(message, type, offset) ((type *)(void *)((char *)(message) + (offset)))

static const ProtobufCFieldDescriptor *field_of(const struct berth_rules *rules, uint32_t number)
{
    return protobuf_c_message_descriptor_get_field(rules->descriptor, number);
}

/* A fresh copy of the sample: its message, or the first sub-message in the field `part`. */
static ProtobufCMessage *given_message(struct fixture *f, Berth__V1__Envelope **ret_envelope)
{
    berth_buf_clear(&f->buf);
    berth_arena_reset(&f->arena);
    assert_ok(berth_wire_pack(&f->sample->envelope, &f->buf));
    assert_ok(berth_wire_unpack(berth_buf_slice(&f->buf), &f->arena, ret_envelope, &f->err));
    ProtobufCMessage *message = &(*ret_envelope)->error->base; /* whichever of the union it is */
    if (f->part == 0)
        return message;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(message->descriptor, f->part);
    void *member = *AT(message, void *, field->offset);
    ProtobufCMessage *part =
        field->label == PROTOBUF_C_LABEL_REPEATED ? *(ProtobufCMessage **)member : member;
    if (f->inner == 0)
        return part;
    field = protobuf_c_message_descriptor_get_field(part->descriptor, f->inner);
    return *AT(part, void *, field->offset);
}

static bool is_narrowed(const char *name)
{
    for (size_t i = 0; i < sizeof narrowed / sizeof *narrowed; i++)
        if (strcmp(narrowed[i], name) == 0)
            return true;
    return false;
}

static void assert_verdict(struct fixture *f, const Berth__V1__Envelope *envelope, bool is_taken)
{
    f->edge_count++;
    f->field = NULL;
    int rc = berth_validate(envelope, f->sample->receiver, &f->err, &f->field);
    bool is_at_fault = rc < 0 && f->field && strcmp(f->field, f->rule->name) == 0;
    if (is_taken && is_narrowed(f->rule->name))
        return;
    if (is_at_fault == is_taken)
        fail_msg("%s.%s: %s", f->rules->descriptor->name, f->rule->name,
                 rc < 0 ? f->err.message : "taken");
}

/* A column, or a part, that this sample leaves out is tried in another one of its message. */
static bool is_left_out(struct fixture *f)
{
    Berth__V1__Envelope *envelope;
    ProtobufCMessage *message = given_message(f, &envelope);
    const ProtobufCFieldDescriptor *field = field_of(f->rules, f->rule->number);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *AT(message, size_t, field->quantifier_offset) == 0;
    return field->type == PROTOBUF_C_TYPE_MESSAGE && !*AT(message, void *, field->offset);
}

/* Sets a number, in a column its last, and tells whether the field's type can hold it. */
static bool set_number(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       int64_t value, bool is_unsigned)
{
    char *member = AT(message, char, field->offset);
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *AT(message, size_t, field->quantifier_offset);
        size_t bytes = field->type == PROTOBUF_C_TYPE_UINT64 ? 8 : 4;
        assert_true(count > 0);
        member = *AT(message, char *, field->offset) + (count - 1) * bytes;
    } else {
        *AT(message, protobuf_c_boolean, field->quantifier_offset) = 1;
    }
    uint32_t u32 = (uint32_t)value;
    int32_t s32 = (int32_t)value;
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT64: memcpy(member, &value, 8); return is_unsigned || value >= 0;
    case PROTOBUF_C_TYPE_INT64: memcpy(member, &value, 8); return !is_unsigned || value >= 0;
    case PROTOBUF_C_TYPE_UINT32:
        memcpy(member, &u32, 4);
        return value >= 0 && (uint64_t)value <= UINT32_MAX;
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_ENUM:
        memcpy(member, &s32, 4);
        return value >= INT32_MIN && value <= INT32_MAX;
    default: fail_msg("a number of type %d", (int)field->type); return false;
    }
}

static void try_number(struct fixture *f, int64_t value, bool is_unsigned, bool is_taken)
{
    Berth__V1__Envelope *envelope;
    ProtobufCMessage *message = given_message(f, &envelope);
    if (set_number(message, field_of(f->rules, f->rule->number), value, is_unsigned))
        assert_verdict(f, envelope, is_taken);
}

static void try_range(struct fixture *f)
{
    const struct berth_rule *rule = f->rule;
    bool is_zero_taken = rule->presence == RULE_UNLESS_0;
    try_number(f, rule->min, rule->min >= 0, true);
    try_number(f, (int64_t)rule->max, true, true);
    if (rule->min > INT64_MIN && !(is_zero_taken && rule->min == 1))
        try_number(f, rule->min - 1, rule->min >= 1, false);
    if (rule->max < UINT64_MAX)
        try_number(f, (int64_t)(rule->max + 1), true, false);
}

/* One element fewer than its leader has. */
static void try_column_count(struct fixture *f)
{
    Berth__V1__Envelope *envelope;
    ProtobufCMessage *message = given_message(f, &envelope);
    const ProtobufCFieldDescriptor *field = field_of(f->rules, f->rule->number);
    size_t *count = AT(message, size_t, field->quantifier_offset);
    if (f->rule->leader == f->rule->number || *count < 2)
        return;
    (*count)--;
    assert_verdict(f, envelope, false);
}

static void try_bytes(struct fixture *f, size_t bytes, char fill, bool is_taken)
{
    Berth__V1__Envelope *envelope;
    ProtobufCMessage *message = given_message(f, &envelope);
    const ProtobufCFieldDescriptor *field = field_of(f->rules, f->rule->number);
    ProtobufCBinaryData data = { bytes, berth_arena_alloc(&f->arena, bytes) };
    assert_non_null(data.data);
    memset(data.data, fill, bytes);
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        assert_true(*AT(message, size_t, field->quantifier_offset) > 0);
        **AT(message, ProtobufCBinaryData *, field->offset) = data;
    } else {
        *AT(message, protobuf_c_boolean, field->quantifier_offset) = 1;
        *AT(message, ProtobufCBinaryData, field->offset) = data;
    }
    assert_verdict(f, envelope, is_taken);
}

static void try_table_count(struct fixture *f)
{
    Berth__V1__Envelope *envelope;
    ProtobufCMessage *message = given_message(f, &envelope);
    const ProtobufCFieldDescriptor *field = field_of(f->rules, f->rule->number);
    static uint8_t name[] = { 'n', 'a', 'm', 'e' };
    size_t count = f->rule->count_max + 1;
    ProtobufCBinaryData *names = berth_arena_alloc_array(&f->arena, count, sizeof *names);
    assert_non_null(names);
    for (size_t i = 0; i < count; i++)
        names[i] = (ProtobufCBinaryData){ 4, name };
    *AT(message, ProtobufCBinaryData *, field->offset) = names;
    *AT(message, size_t, field->quantifier_offset) = count;
    assert_verdict(f, envelope, false);
    (*AT(message, size_t, field->quantifier_offset))--;
    assert_verdict(f, envelope, true);
}

/* A message that must be there. */
static void try_without(struct fixture *f)
{
    Berth__V1__Envelope *envelope;
    ProtobufCMessage *message = given_message(f, &envelope);
    *AT(message, void *, field_of(f->rules, f->rule->number)->offset) = NULL;
    assert_verdict(f, envelope, false);
}

/* From here on functions follow the schema into its sub-messages; it is finite and ours.
 * NOLINTBEGIN(misc-no-recursion) */
static void try_rules(struct fixture *f, const struct berth_rules *rules);

static void try_rule(struct fixture *f)
{
    const struct berth_rule *rule = f->rule;
    if (is_left_out(f))
        return;
    f->tried[f->tried_count++] = rule;
    switch (rule->kind) {
    case RULE_ANY:
    case RULE_BLOB: return;
    case RULE_NUMBER: try_range(f); break;
    case RULE_INDEX:
    case RULE_INDEX1: try_number(f, UINT32_MAX, true, false); break;
    case RULE_LENGTHS: try_number(f, (int64_t)rule->max + 1, true, false); break;
    case RULE_ID:
        try_bytes(f, BERTH_ID_BYTES - 1, 'x', false);
        try_bytes(f, BERTH_ID_BYTES, 'x', true);
        try_bytes(f, BERTH_ID_BYTES + 1, 'x', false);
        return;
    case RULE_KEY:
        try_bytes(f, BERTH_KEY_BYTES_MAX, 'x', true);
        try_bytes(f, BERTH_KEY_BYTES_MAX + 1, 'x', false);
        try_bytes(f, 3, '\xff', false);
        return;
    case RULE_TEXT:
    case RULE_BYTES:
    case RULE_LIST:
        try_bytes(f, (size_t)rule->max, 'x', true);
        try_bytes(f, (size_t)rule->max + 1, 'x', false);
        try_bytes(f, 3, '\xff', rule->kind != RULE_TEXT);
        return;
    case RULE_NAMES:
    case RULE_NAME:
        if (rule->kind == RULE_NAMES)
            try_table_count(f);
        try_bytes(f, (size_t)rule->max, 'x', true);
        try_bytes(f, (size_t)rule->max + 1, 'x', false);
        try_bytes(f, 0, 'x', rule->presence == RULE_UNLESS_0);
        try_bytes(f, 3, ' ', false);
        return;
    case RULE_ROWS:
    case RULE_PART:
        f->part = rule->number;
        try_rules(f, rule->inside);
        f->part = 0;
        return;
    case RULE_INNER:
        try_without(f);
        f->inner = rule->number;
        try_rules(f, rule->inside);
        f->inner = 0;
        return;
    }
    if (field_of(f->rules, rule->number)->label == PROTOBUF_C_LABEL_REPEATED)
        try_column_count(f);
}

static void try_rules(struct fixture *f, const struct berth_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        f->rules = rules;
        f->rule = &rules->rules[i];
        try_rule(f);
    }
}

static void assert_all_tried(const struct fixture *f, const struct berth_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        size_t at = 0;
        while (at < f->tried_count && f->tried[at] != &rules->rules[i])
            at++;
        if (at == f->tried_count)
            fail_msg("no sample has %s.%s", rules->descriptor->name, rules->rules[i].name);
        if (rules->rules[i].inside)
            assert_all_tried(f, rules->rules[i].inside);
    }
}

static void both_sides_of_every_edge(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sample_count; i++) {
        f->sample = &samples[i];
        try_rules(f, berth_rules_find((uint32_t)samples[i].envelope.message_case));
    }
    assert_true(f->edge_count > 900);
    for (size_t i = 0; i < sample_count; i++)
        assert_all_tried(f, berth_rules_find((uint32_t)samples[i].envelope.message_case));
}

static void assert_complete(const struct berth_rules *rules)
{
    const ProtobufCMessageDescriptor *descriptor = rules->descriptor;
    if (rules->count != descriptor->n_fields)
        fail_msg("%s has %u fields and %zu rules", descriptor->name, descriptor->n_fields,
                 rules->count);
    for (size_t i = 0; i < rules->count; i++) {
        const struct berth_rule *rule = &rules->rules[i];
        assert_int_equal(rule->number, descriptor->fields[i].id);
        assert_string_equal(rule->name, descriptor->fields[i].name);
        bool is_message = descriptor->fields[i].type == PROTOBUF_C_TYPE_MESSAGE;
        assert_int_equal(is_message, rule->kind == RULE_ROWS || rule->kind == RULE_PART ||
                                         rule->kind == RULE_INNER);
        if (is_message) {
            assert_ptr_equal(rule->inside->descriptor, descriptor->fields[i].descriptor);
            assert_complete(rule->inside);
        }
    }
}

static void every_field_of_every_message_has_its_rule(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *envelope = &berth__v1__envelope__descriptor;
    for (unsigned i = 0; i < envelope->n_fields; i++) {
        if (envelope->fields[i].type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        const struct berth_rules *rules = berth_rules_find(envelope->fields[i].id);
        assert_non_null(rules);
        assert_ptr_equal(rules->descriptor, envelope->fields[i].descriptor);
        assert_complete(rules);
    }
    assert_null(berth_rules_find(0));
}

/* What a frame may cost is bounded only if its depth is: no type may contain itself. */
static void assert_depth(const ProtobufCMessageDescriptor *descriptor, int depth_left)
{
    if (depth_left == 0)
        fail_msg("%s lies too deep, or in itself", descriptor->name);
    for (unsigned i = 0; i < descriptor->n_fields; i++)
        if (descriptor->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            assert_depth(descriptor->fields[i].descriptor, depth_left - 1);
}

static void no_message_contains_itself(void **state)
{
    (void)state;
    assert_depth(&berth__v1__envelope__descriptor, 4);
}

static void field_style(const ProtobufCMessageDescriptor *descriptor)
{
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        assert_int_not_equal(field->label, PROTOBUF_C_LABEL_REQUIRED);
        assert_int_not_equal(field->type, PROTOBUF_C_TYPE_STRING);
        if (field->label == PROTOBUF_C_LABEL_REPEATED && field->type != PROTOBUF_C_TYPE_BYTES &&
            field->type != PROTOBUF_C_TYPE_MESSAGE)
            assert_true(field->flags & PROTOBUF_C_FIELD_FLAG_PACKED);
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            field_style(field->descriptor);
    }
}

/* NOLINTEND(misc-no-recursion) */

static void columns_are_packed_text_is_bytes_nothing_is_required(void **state)
{
    (void)state;
    field_style(&berth__v1__envelope__descriptor);
    field_style(&berth__v1__body__descriptor);
    field_style(&berth__v1__result__descriptor);
}

static void repeated_value_is_found_in_any_order(void **state)
{
    (void)state;
    struct berth_error err;
    struct berth_checker checker = { .err = &err };
    uint64_t ascending[] = { 1, 2, 3 }, mixed[] = { 3, 1, 2 }, twice[] = { 3, 1, 2, 1 };
    assert_ok(berth_rules_check_unique(&checker, "attempt", NULL, 0));
    assert_ok(berth_rules_check_unique(&checker, "attempt", ascending, 3));
    assert_ok(berth_rules_check_unique(&checker, "attempt", mixed, 3));
    assert_rc(berth_rules_check_unique(&checker, "attempt", twice, 4), BERTH_EPROTO);
    assert_string_equal(err.message, "attempt 1 stands twice");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_sides_of_every_edge),
        cmocka_unit_test(every_field_of_every_message_has_its_rule),
        cmocka_unit_test(no_message_contains_itself),
        cmocka_unit_test(columns_are_packed_text_is_bytes_nothing_is_required),
        cmocka_unit_test(repeated_value_is_found_in_any_order),
    };
    return berth_test_main(tests, NULL, NULL);
}
