/* SPDX-License-Identifier: MIT */
/* Random batches of all kinds of records that fit what the store holds: the same seed makes the
 * same ones. */
#pragma once

#include "base/rng.h"
#include "store_model.h"

/* A batch of up to `records_max` records, applied to `model`. */
struct berth_batch *workload_batch(struct kit *kit, struct model *model, struct berth_rng *rng,
                                   size_t records_max);
