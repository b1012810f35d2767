/* SPDX-License-Identifier: MIT */
/* Children for the tests of scopes, which take a `struct seen`. */
#pragma once

#include "wefttest.h"

/* What a body and its children saw. */
struct seen {
    atomic_int started, ended, cancelled, failed_rc;
    atomic_bool is_ready, is_told;
    int rc, inner_rc, closed_rc;
    bool is_cancelled_inside, was_cancelled_before;
    char name[64];
    struct weft_scope scope;
};

int nap(void *seen);        /* 20 ms */
int sleep_long(void *seen); /* longer than any test lasts */
int fail_when_ready(void *seen);
