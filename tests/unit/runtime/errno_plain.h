/* SPDX-License-Identifier: MIT */
#pragma once

/* Sets errno to 0, calls wait(arg), makes a call that fails with EBADF, and returns errno. */
int errno_plain(void (*wait)(void *arg), void *arg);
