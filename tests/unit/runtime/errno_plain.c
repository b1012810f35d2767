/* SPDX-License-Identifier: MIT
 *
 * Code that has not heard of <weft/errno.h>, built with -O2: the compiler asks for the address of
 * errno once.
 */
#include "errno_plain.h"

#include <errno.h>
#include <unistd.h>

int errno_plain(void (*wait)(void *arg), void *arg)
{
    errno = 0;
    wait(arg);
    (void)close(-1);
    return errno;
}
