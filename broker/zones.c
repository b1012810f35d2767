/* SPDX-License-Identifier: MIT */
#include "zones.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/text.h"
#include "zone_file.h"

struct zone_name {
    struct berth_list_node node;
    char text[ZONE_NAME_BYTES_MAX + 1];
};

struct zones {
    struct zone_file file; /* the last one */
    struct berth_error err;
    bool wants_page; /* the core is to be asked for the schedules behind `after` */
    uint32_t after;
    struct berth_list names; /* to be read */
    struct berth_list done;  /* were read */
};

struct zones *zones_new(void)
{
    struct zones *zones = calloc(1, sizeof *zones);
    if (!zones)
        return NULL;
    berth_list_init(&zones->names);
    berth_list_init(&zones->done);
    return zones;
}

static void forget(struct berth_list *list)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(list)))
        free(berth_container_of(node, struct zone_name, node));
}

void zones_free(struct zones *zones)
{
    if (!zones)
        return;
    forget(&zones->names);
    forget(&zones->done);
    zone_file_fini(&zones->file);
    free(zones);
}

static int read_file(struct zones *zones, struct berth_slice name)
{
    zone_file_fini(&zones->file);
    zones->err = (struct berth_error){ .code = 0 };
    return zone_file_open("tz", name, &zones->file, &zones->err);
}

static struct berth_slice file_bytes(const struct zones *zones)
{
    return zones->file.bytes ? berth_buf_slice(zones->file.bytes) : (struct berth_slice){ 0 };
}

void zones_fill(struct zones *zones, struct berth_ev_schedule_set *set)
{
    if (!set->has_zone)
        return;
    int rc = read_file(zones, set->zone);
    if (rc < 0) {
        set->zone_code = rc == -ENOMEM ? BERTH_EFULL : rc;
        set->zone_message = zones->err.message;
        return;
    }
    set->tzif = file_bytes(zones);
}

void zones_renew(struct zones *zones)
{
    forget(&zones->names);
    forget(&zones->done);
    zones->wants_page = true;
    zones->after = 0;
}

static bool is_known(const struct berth_list *list, struct berth_slice name)
{
    BERTH_LIST_FOREACH (node, list) {
        const struct zone_name *known = berth_container_of(node, struct zone_name, node);
        if (berth_slice_is_equal(berth_slice_of(known->text), name))
            return true;
    }
    return false;
}

void zones_take(struct zones *zones, const struct berth_do_schedules *schedules)
{
    for (size_t i = 0; i < schedules->count; i++) {
        struct berth_slice name = schedules->items[i].record.zone;
        if (is_known(&zones->names, name) || is_known(&zones->done, name) ||
            name.bytes > ZONE_NAME_BYTES_MAX)
            continue;
        struct zone_name *zone = calloc(1, sizeof *zone);
        if (!zone)
            return; /* the table that was read last goes on to hold */
        memcpy(zone->text, name.data, name.bytes);
        berth_list_push_back(&zones->names, &zone->node);
    }
    zones->wants_page = schedules->next != 0;
    zones->after = schedules->next;
}

/* The next file that can be read. */
static bool next_file(struct zones *zones, struct berth_event *ret_event)
{
    struct berth_list_node *node;
    while ((node = berth_list_pop_front(&zones->names))) {
        const struct zone_name *zone = berth_container_of(node, struct zone_name, node);
        berth_list_push_back(&zones->done, node);
        if (read_file(zones, berth_slice_of(zone->text)) < 0) {
            berth_log(BERTH_LOG_WARN, "time zone not read anew: its table stays as it was",
                      BERTH_LOG_TEXT("zone", zone->text), BERTH_LOG_ERR(&zones->err));
            continue;
        }
        *ret_event = (struct berth_event){ .type = BERTH_EV_ZONE,
                                           .zone = { .name = berth_slice_of(zone->text),
                                                     .tzif = file_bytes(zones) } };
        return true;
    }
    return false;
}

bool zones_next(struct zones *zones, uint64_t peer, struct berth_event *ret_event)
{
    if (next_file(zones, ret_event))
        return true;
    if (!zones->wants_page)
        return false;
    zones->wants_page = false;
    *ret_event = (struct berth_event){ .type = BERTH_EV_SCHEDULE_LIST,
                                       .schedule_list = { .peer = peer, .after = zones->after } };
    return true;
}
