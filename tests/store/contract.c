/* SPDX-License-Identifier: MIT */
#include "contract.h"

#include <stdlib.h>

const char *contract_backend;

int contract_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    kit_init(&f->kit, contract_backend);
    kit_open(&f->kit);
    *state = f;
    return 0;
}

int contract_teardown(void **state)
{
    struct fixture *f = *state;
    kit_fini(&f->kit);
    free(f);
    return 0;
}

void put(struct fixture *f, struct berth_batch *batch, const struct berth_record *record)
{
    kit_add(batch, record);
    model_apply(&f->model, record);
}

void given_jobs(struct fixture *f, uint64_t first, uint64_t last)
{
    struct berth_batch *batch = kit_batch(&f->kit);
    for (uint64_t id = first; id <= last; id++) {
        struct berth_record job =
            kit_job(id, 1 + (uint32_t)(id % 3), kit_bytes(&f->kit, 50 + id % 7, id));
        put(f, batch, &job);
    }
    kit_store(&f->kit, batch);
}

void then_load_is_as_the_model(struct fixture *f)
{
    kit_reopen(&f->kit);
    model_check_load(&f->model, &f->kit, UINT64_MAX);
}

int contract_main(const struct CMUnitTest *tests, size_t count)
{
    static const char *const backends[] = { "sqlite", "mem" };
    int failed = 0;
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        contract_backend = backends[i];
        failed += _cmocka_run_group_tests(backends[i], tests, count, NULL, NULL);
    }
    return failed;
}
