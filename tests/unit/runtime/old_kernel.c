/* SPDX-License-Identifier: MIT
 *
 * usage: old_kernel PROGRAM [ARGUMENT...]
 *
 * Runs a program as if on Linux 6.1, Debian 12's, in what matters to weft: no guards by madvise()
 * (6.13), no process_madvise() of oneself (6.14), no RWF_NOWAIT on pipes (6.5; here on nothing, for
 * a filter does not see what a descriptor is). Nothing else is changed.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103

#define LOAD(member)     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define UNLESS(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, n)
#define ANSWER(number)   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (number))
#define GO_ON            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int main(int argc, char **argv)
{
    struct sock_filter code[] = {
        LOAD(nr),           UNLESS(SYS_preadv2, 1),
        ANSWER(EOPNOTSUPP), UNLESS(SYS_pwritev2, 1),
        ANSWER(EOPNOTSUPP), UNLESS(SYS_process_madvise, 1),
        ANSWER(EBADF),      UNLESS(SYS_madvise, 5),
        LOAD(args[2]),      UNLESS(MADV_GUARD_INSTALL, 1),
        ANSWER(EINVAL),     UNLESS(MADV_GUARD_REMOVE, 1),
        ANSWER(EINVAL),     GO_ON,
    };
    struct sock_fprog program = { .len = sizeof code / sizeof code[0], .filter = code };
    if (argc < 2) {
        (void)fprintf(stderr, "usage: old_kernel PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        perror("old_kernel: seccomp");
        return 1;
    }
    (void)execv(argv[1], argv + 1);
    perror(argv[1]);
    return 1;
}
