/* SPDX-License-Identifier: MIT
 *
 * The names of dispatchers: of views, pools, and the user's own. One name, one dispatcher, for two
 * libraries in one program must not share a limit by accident, nor be mixed up in a dump.
 */
#pragma once

/* Takes a name, which must not be in use, and copies it. 0; -EEXIST; -ENOMEM; -EINVAL: NULL, empty
 * or longer than WEFT_DISPATCHER_NAME_BYTES_MAX. Any thread. */
int weft_name_take(const char *name, const char **ret_copy);

/* Somebody else may take the name from now on; the copy stays. */
void weft_name_release(const char *copy);

/* Gives back and frees a name that weft_name_take() returned. NULL is fine. */
void weft_name_give(const char *copy);
