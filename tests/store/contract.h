/* SPDX-License-Identifier: MIT */
/* What the tests of the stores' contract have in common: an open store of the backend under test,
 * and a model of what it must hold.
 */
#pragma once

#include "support/berthtest.h"

#include "store_kit.h"
#include "store_model.h"

extern const char *contract_backend; /* under test now */

struct fixture {
    struct kit kit;
    struct model model;
};

int contract_setup(void **state);
int contract_teardown(void **state);

/* Adds to the batch and to the model. */
void put(struct fixture *f, struct berth_batch *batch, const struct berth_record *record);
/* Stores jobs with these ids, of three dispatchers. */
void given_jobs(struct fixture *f, uint64_t first, uint64_t last);
void then_load_is_as_the_model(struct fixture *f); /* opened anew */

#define TEST(name) cmocka_unit_test_setup_teardown(name, contract_setup, contract_teardown)

/* All of them on each backend: how many failed. */
int contract_main(const struct CMUnitTest *tests, size_t count);
