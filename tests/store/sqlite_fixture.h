/* SPDX-License-Identifier: MIT */
/* SQLite stores, and what is done to their file behind their back. */
#pragma once

#include "support/berthtest.h"

#include "broker/store/store_sqlite.h"
#include "store_kit.h"
#include "support/tempdir.h"

/* A fresh kit of the backend, not open. */
int sqlite_setup(void **state);
int sqlite_teardown(void **state);

/* Behind the store's back, while it is closed. */
void run_sql(const char *dir, const char *sql);
int try_open(const struct kit *kit, struct berth_store **ret_store, struct berth_error *err);
/* Jobs `first` .. `last` are in it; it has 200 of them, and is closed. */
void given_jobs(struct kit *kit, uint64_t first, uint64_t last, size_t body_bytes);
void given_closed_store(struct kit *kit);
/* Visits everything, and reads each byte of the jobs; the digest is not looked at. */
int load_all(struct berth_store *store, struct berth_error *err);
