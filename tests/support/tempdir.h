/* SPDX-License-Identifier: MIT
 *
 * A folder of its own for a test, removed with everything in it. Stops the test program if that
 * fails.
 */
#pragma once

#include "base/cleanup.h"

/* Makes a fresh folder under $TMPDIR or /tmp. The returned path is the caller's until tempdir_free.
 */
char *tempdir_new(void);

/* Removes it with all it holds, and frees the path. NULL is fine. */
void tempdir_free(char *path);

/* "DIR/NAME" in memory of the caller's, to be freed. */
char *tempdir_path(const char *dir, const char *name);

/* Writes a whole file. */
void tempdir_write(const char *path, const char *text);
