/* SPDX-License-Identifier: MIT
 *
 * Where errno is. The value needs no help: it is saved and restored at each switch (task.c), so
 * that the errno of the thread is always that of the coroutine which runs on it.
 */
#include <weft/errno.h>

#undef errno
#define errno (*__errno_location())

__attribute__((noinline)) int *weft_errno(void)
{
    __asm__ volatile("" ::: "memory"); /* or the compiler finds out that it is a constant */
    return &errno;
}
