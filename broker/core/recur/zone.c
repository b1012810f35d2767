/* SPDX-License-Identifier: MIT */
#include "zone.h"

#include <string.h>

#include "base/assert.h"

#define HEADER_BYTES   44
#define KIND_BYTES     6 /* offset, is it summer time, where its name begins */
#define KINDS_MAX      256
#define NAME_SHOWN_MAX 64
#define TIME_BYTES_OLD 4 /* in the first block, the only one of version 1 */
#define TIME_BYTES     8
#define VERSION_NEWEST '4'

/* RFC 9636, 3.1 */
struct header {
    uint8_t version;
    uint32_t ut_count, standard_count, leap_count, time_count, kind_count, name_bytes;
};

static int refuse(struct berth_error *err, const char *why)
{
    return berth_fail(err, BERTH_EVALUE, "the data of a time zone is not TZif: %s", why);
}

/* ---- names ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name_character(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '+' || c == '-';
}

static bool name_is_valid(const char *name, size_t bytes)
{
    if (bytes < 1 || bytes > ZONE_NAME_BYTES_MAX || !is_letter(name[0]))
        return false;
    for (size_t i = 1; i < bytes; i++) {
        if (is_name_character(name[i]))
            continue;
        if (name[i] != '/' || name[i - 1] == '/' || i + 1 == bytes)
            return false;
    }
    return true;
}

int zone_name_check(const char *what, struct berth_slice name, struct berth_error *err)
{
    if (name_is_valid(name.data, name.bytes))
        return 0;
    int shown = name.bytes > NAME_SHOWN_MAX ? NAME_SHOWN_MAX : (int)name.bytes;
    return berth_fail(err, BERTH_EVALUE,
                      "%s: '%.*s' is not a time zone; allowed is UTC or a name such as "
                      "Europe/Berlin, at most %d characters",
                      what, shown, shown ? (const char *)name.data : "", ZONE_NAME_BYTES_MAX);
}

/* ---- bytes ---- */

static uint32_t u32_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int64_t time_at(const struct zone *zone, uint32_t index)
{
    const uint8_t *bytes = zone->times + (size_t)index * zone->time_bytes;
    if (zone->time_bytes == TIME_BYTES_OLD)
        return (int32_t)u32_at(bytes);
    return (int64_t)((uint64_t)u32_at(bytes) << 32 | u32_at(bytes + 4));
}

static int32_t offset_of(const uint8_t *kinds, size_t kind)
{
    return (int32_t)u32_at(kinds + kind * KIND_BYTES);
}

static int read_header(struct berth_slice rest, struct header *ret_header, struct berth_error *err)
{
    const uint8_t *bytes = rest.data;
    if (rest.bytes < HEADER_BYTES)
        return refuse(err, "its header is cut short");
    if (memcmp(bytes, "TZif", 4) != 0)
        return refuse(err, "it does not begin with 'TZif'");
    if (bytes[4] != 0 && (bytes[4] < '2' || bytes[4] > VERSION_NEWEST))
        return refuse(err, "its version is not one of 1 to 4");
    *ret_header = (struct header){
        .version = bytes[4],
        .ut_count = u32_at(bytes + 20),
        .standard_count = u32_at(bytes + 24),
        .leap_count = u32_at(bytes + 28),
        .time_count = u32_at(bytes + 32),
        .kind_count = u32_at(bytes + 36),
        .name_bytes = u32_at(bytes + 40),
    };
    return 0;
}

/* The bytes of the block behind a header; no sum of these can pass 64 bits. */
static uint64_t block_bytes(const struct header *header, uint8_t time_bytes)
{
    return (uint64_t)header->time_count * (time_bytes + 1u) +
           (uint64_t)header->kind_count * KIND_BYTES + header->name_bytes +
           (uint64_t)header->leap_count * (time_bytes + 4u) + header->standard_count +
           header->ut_count;
}

static struct berth_slice behind(struct berth_slice rest, size_t bytes)
{
    return (struct berth_slice){ (const uint8_t *)rest.data + bytes, rest.bytes - bytes };
}

/* Takes header and block off the front of `rest`. */
static int skip_block(struct berth_slice *rest, uint8_t time_bytes, struct header *ret_header,
                      struct berth_slice *ret_block, struct berth_error *err)
{
    struct header header;
    int rc = read_header(*rest, &header, err);
    if (rc < 0)
        return rc;
    uint64_t bytes = block_bytes(&header, time_bytes);
    if (bytes > rest->bytes - HEADER_BYTES)
        return refuse(err, "it is cut short");
    struct berth_slice block = behind(*rest, HEADER_BYTES);
    *rest = behind(block, (size_t)bytes);
    block.bytes = (size_t)bytes;
    *ret_header = header;
    *ret_block = block;
    return 0;
}

/* ---- a block ---- */

static int check_counts(const struct header *header, struct berth_error *err)
{
    if (header->kind_count < 1 || header->kind_count > KINDS_MAX)
        return refuse(err, "it has no kind of time, or more than 256");
    if (header->name_bytes < 1)
        return refuse(err, "it names no kind of time");
    if (header->leap_count != 0)
        return refuse(err, "it counts leap seconds, which Unix time does not");
    if (header->standard_count != 0 && header->standard_count != header->kind_count)
        return refuse(err, "it does not have one mark of standard time for each kind, or none");
    if (header->ut_count != 0 && header->ut_count != header->kind_count)
        return refuse(err, "it does not have one mark of UT for each kind, or none");
    return 0;
}

static int check_kinds(const uint8_t *kinds, const struct header *header, struct berth_error *err)
{
    for (size_t i = 0; i < header->kind_count; i++) {
        int32_t offset_s = offset_of(kinds, i);
        if (offset_s < ZONE_OFFSET_S_MIN || offset_s > ZONE_OFFSET_S_MAX)
            return refuse(err, "a kind of time is a day or more away from UTC");
        if (kinds[i * KIND_BYTES + 4] > 1)
            return refuse(err, "a kind of time is neither standard nor summer time");
        if (kinds[i * KIND_BYTES + 5] >= header->name_bytes)
            return refuse(err, "a kind of time has its name outside of the names");
    }
    return 0;
}

static int check_times(const struct zone *zone, const struct header *header,
                       struct berth_error *err)
{
    for (uint32_t i = 0; i < zone->count; i++) {
        if (i > 0 && time_at(zone, i) <= time_at(zone, i - 1))
            return refuse(err, "its transitions are not in order");
        if (zone->kinds_of[i] >= header->kind_count)
            return refuse(err, "a transition leads to a kind of time that is not there");
    }
    return 0;
}

static int read_block(struct berth_slice block, const struct header *header, uint8_t time_bytes,
                      struct zone *ret_zone, struct berth_error *err)
{
    int rc = check_counts(header, err);
    if (rc < 0)
        return rc;
    const uint8_t *times = block.data;
    const uint8_t *kinds_of = times + (size_t)header->time_count * time_bytes;
    const uint8_t *kinds = kinds_of + header->time_count;
    struct zone zone = { .times = times,
                         .kinds_of = kinds_of,
                         .kinds = kinds,
                         .count = header->time_count,
                         .time_bytes = time_bytes,
                         .first_s = offset_of(kinds, 0) };
    rc = check_kinds(kinds, header, err);
    if (rc == 0)
        rc = check_times(&zone, header, err);
    if (rc < 0)
        return rc;
    *ret_zone = zone;
    return 0;
}

/* ---- a file ---- */

/* "\nCET-1CEST,M3.5.0,M10.5.0/3\n"; nothing between the two: no rule, the last transition goes on.
 */
static int read_footer(struct berth_slice rest, struct zone *zone, struct berth_error *err)
{
    const char *text = rest.data;
    if (rest.bytes < 2 || text[0] != '\n' || text[rest.bytes - 1] != '\n')
        return refuse(err, "its footer is not a line");
    struct berth_slice rule = { text + 1, rest.bytes - 2 };
    if (rule.bytes == 0)
        return 0;
    int rc = zone_rule_parse(rule, &zone->rule, err);
    zone->has_rule = rc == 0;
    return rc;
}

int zone_parse(struct berth_slice tzif, struct zone *ret_zone, struct berth_error *err)
{
    if (tzif.bytes > ZONE_BYTES_MAX)
        return refuse(err, "it has more than 65536 bytes");
    struct zone zone;
    struct header first, second;
    struct berth_slice rest = tzif, block;
    int rc = skip_block(&rest, TIME_BYTES_OLD, &first, &block, err);
    if (rc < 0)
        return rc;
    if (first.version == 0) {
        if (rest.bytes != 0)
            return refuse(err, "something follows its end");
        return read_block(block, &first, TIME_BYTES_OLD, ret_zone, err);
    }
    rc = skip_block(&rest, TIME_BYTES, &second, &block, err);
    if (rc < 0)
        return rc;
    if (second.version != first.version)
        return refuse(err, "its two headers differ in their version");
    rc = read_block(block, &second, TIME_BYTES, &zone, err);
    if (rc == 0)
        rc = read_footer(rest, &zone, err);
    if (rc < 0)
        return rc;
    *ret_zone = zone;
    return 0;
}

int zone_of_rule(struct berth_slice text, struct zone *ret_zone, struct berth_error *err)
{
    struct zone zone = { .has_rule = true };
    int rc = zone_rule_parse(text, &zone.rule, err);
    if (rc == 0)
        *ret_zone = zone;
    return rc;
}

/* ---- time ---- */

/* How many transitions are at or before an instant. */
static uint32_t count_until(const struct zone *zone, int64_t unix_s)
{
    uint32_t low = 0, high = zone->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (time_at(zone, middle) <= unix_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct zone_span zone_at(const struct zone *zone, int64_t unix_s)
{
    BERTH_ASSERT(unix_s >= ZONE_UNIX_S_MIN);
    BERTH_ASSERT(unix_s <= ZONE_UNIX_S_MAX);
    uint32_t passed = count_until(zone, unix_s);
    struct zone_span span = { INT64_MIN, INT64_MAX, zone->first_s };
    if (passed == zone->count && zone->has_rule)
        span = zone_rule_at(&zone->rule, unix_s);
    else if (passed > 0)
        span.offset_s = offset_of(zone->kinds, zone->kinds_of[passed - 1]);
    if (passed > 0 && span.begin_s < time_at(zone, passed - 1))
        span.begin_s = time_at(zone, passed - 1);
    if (passed < zone->count)
        span.end_s = time_at(zone, passed);
    return span;
}
