/* SPDX-License-Identifier: MIT */
#include "cli/list.h"

#include <errno.h>

struct list {
    const struct cli_opts *opts;
    const struct list_kind *kind;
    struct json json;
    struct print_table *table;
    bool has_items;
};

int list_add(struct list *list, const char *name, const void *item)
{
    list->has_items = true;
    if (!list->opts->is_json && !list->opts->is_quiet)
        return list->kind->row(list->table, item);
    if (!list->opts->is_json) {
        (void)printf("%s\n", name);
        return 0;
    }
    json_object_begin(&list->json, NULL);
    list->kind->json(&list->json, item);
    json_object_end(&list->json);
    return 0;
}

static int write_list(struct cli *cli, struct list *list)
{
    if (cli->opts.is_json)
        json_list_begin(&list->json, list->kind->schema);
    int rc = list->kind->each(cli, list);
    if (cli->opts.is_json)
        json_list_end(&list->json, 0, rc);
    return rc < 0 ? rc : print_table(list->table, stdout);
}

int list_run(struct cli *cli, const struct list_kind *kind)
{
    int rc = cli_begin(cli, NULL);
    if (rc == 0)
        rc = cli_connect(cli, 0);
    if (rc < 0)
        return cli_fail(cli, rc);
    struct list list = { .opts = &cli->opts,
                         .kind = kind,
                         .table = print_table_new(kind->heads, kind->heads_count) };
    json_init(&list.json, stdout);
    rc = list.table ? write_list(cli, &list) : -ENOMEM;
    print_table_free(list.table);
    if (rc == 0 && !list.has_items && kind->none)
        cli_remark(cli, kind->none);
    return rc < 0 ? cli_fail(cli, rc) : CLI_OK;
}
