/* SPDX-License-Identifier: MIT */
/* Who this host is, and which boot of it: what tells a broker that all earlier workers of a host
 * are gone. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <berth/error.h>

#define NODE_ID_BYTES       16
#define NODE_NAME_BYTES_MAX 64 /* a worker's name, without its NUL */

/* The host's id: a hash of /etc/machine-id under a key of ours (machine-id(5) asks that it is not
 * shown as it is); without that file, a random one that is kept in the state folder. */
int node_id(uint8_t ret_id[static NODE_ID_BYTES], struct berth_error *err);

/* This boot's id, of the kernel. */
int node_boot_id(uint8_t ret_id[static NODE_ID_BYTES], struct berth_error *err);

/* Random, for this start of a process. */
int node_nonce(uint8_t ret_nonce[static NODE_ID_BYTES], struct berth_error *err);

/* HOSTNAME-PID, made a valid name. */
void node_default_name(pid_t pid, char ret_name[static NODE_NAME_BYTES_MAX + 1]);

/* Cores that this process may run on, at least 1. */
uint32_t node_cores(void);

/* With the paths given, for tests. NULL machine_id_path: as if it were not there. */
int node_id_from(const char *machine_id_path, const char *state_dir,
                 uint8_t ret_id[static NODE_ID_BYTES], struct berth_error *err);
