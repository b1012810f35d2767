/* SPDX-License-Identifier: MIT */
/* `ls` of things that have names: as a JSON document, as a table, or (-q) the names alone. */
#pragma once

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/print.h"

struct list; /* while it is written */

/* What differs. `item` is of the type that `each` hands over. */
struct list_kind {
    const char *schema;       /* "berth.workers/1" */
    const char *const *heads; /* of the table, as print_table_new() wants them */
    size_t heads_count;       /* 1 .. PRINT_COLUMNS_MAX */
    const char *none;         /* what people are told if there is none; NULL: nothing */
    void (*json)(struct json *json, const void *item);       /* the members of its object */
    int (*row)(struct print_table *table, const void *item); /* 0 or negative */
    int (*each)(struct cli *cli, struct list *list); /* list_add() for each; 0, or cli->err */
};

/* The whole command, from its options on; returns its exit code. */
int list_run(struct cli *cli, const struct list_kind *kind);

/* 0, or negative: it cannot be written. */
int list_add(struct list *list, const char *name, const void *item);
