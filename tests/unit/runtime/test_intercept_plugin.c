/* SPDX-License-Identifier: MIT
 *
 * Calls from inside a shared object that was loaded at run time, and what weft does to a program
 * that has it linked in but does not run in it.
 */
#include "intercepttest.h"

#include <dlfcn.h>
#include <sys/socket.h>
#include <unistd.h>

typedef int (*ask_fn)(int fd, char *answer, size_t answer_bytes);

struct talk {
    struct crowd crowd;
    ask_fn ask;
    int fds[2];
    atomic_int good;
};

static int ask(void *arg)
{
    struct talk *talk = arg;
    char answer[4];
    talk->crowd.inside++;
    if (talk->ask(talk->fds[0], answer, sizeof answer) == 0 && strcmp(answer, "yes") == 0)
        talk->good++;
    return 0;
}

static int answer_all(void *arg)
{
    const struct talk *talk = arg;
    for (int i = 0; i < CROWD; i++) {
        char question[4];
        if (read(talk->fds[1], question, 4) != 4 || write(talk->fds[1], "yes", 3) != 3)
            return -EIO;
    }
    return 0;
}

static void calls_of_a_shared_object_park_too(void **state)
{
    (void)state;
    void *plugin = dlopen(BERTH_BIN_DIR "/blocking_plugin.so", RTLD_NOW | RTLD_LOCAL);
    assert_non_null(plugin);
    struct talk talk = { .ask = NULL };
    void *found = dlsym(plugin, "blocking_ask");
    assert_non_null(found);
    memcpy(&talk.ask, &found, sizeof found);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, talk.fds), 0);
    talk.crowd = (struct crowd){ .wait = ask, .release = answer_all, .arg = &talk, .count = CROWD };

    assert_int_equal(crowd_run(&talk.crowd), 0);

    assert_int_equal(talk.good, CROWD);
    (void)close(talk.fds[0]);
    (void)close(talk.fds[1]);
    (void)dlclose(plugin);
}

/* Each name that weft takes from libc. */
static const char names[] =
    "read write readv writev pread pread64 pwrite pwrite64 preadv pwritev __read_chk "
    "__pread_chk close close_range dup dup2 dup3 pipe pipe2 fcntl fcntl64 ioctl fclose "
    "fsync fdatasync flock recv recvfrom recvmsg recvmmsg send sendto sendmsg sendmmsg "
    "connect accept accept4 socket socketpair setsockopt __recv_chk __recvfrom_chk poll "
    "ppoll select pselect epoll_wait epoll_pwait epoll_pwait2 __poll_chk __ppoll_chk "
    "sleep usleep nanosleep clock_nanosleep thrd_sleep sched_yield sendfile sendfile64 "
    "splice copy_file_range pthread_mutex_lock pthread_mutex_trylock pthread_mutex_timedlock "
    "pthread_mutex_clocklock pthread_mutex_unlock pthread_cond_wait pthread_cond_timedwait "
    "pthread_cond_clockwait pthread_cond_signal pthread_cond_broadcast pthread_rwlock_rdlock "
    "pthread_rwlock_timedrdlock pthread_rwlock_clockrdlock pthread_rwlock_wrlock "
    "pthread_rwlock_timedwrlock pthread_rwlock_clockwrlock pthread_rwlock_trywrlock "
    "pthread_rwlock_unlock pthread_spin_lock sem_wait sem_timedwait sem_clockwait sem_post "
    "mtx_lock mtx_trylock mtx_timedlock mtx_unlock cnd_wait cnd_timedwait cnd_signal "
    "cnd_broadcast pthread_join wait wait3 wait4 waitpid waitid system popen pclose posix_spawn "
    "posix_spawnp "
    "getaddrinfo getnameinfo gethostbyname gethostbyname2 gethostbyaddr gethostbyname_r "
    "gethostbyname2_r gethostbyaddr_r ";

/* Each name that weft takes from libc is the program's for all its shared objects. */
static void every_wrapper_is_visible_to_shared_objects(void **state)
{
    (void)state;
    char list[sizeof names];
    memcpy(list, names, sizeof names);
    char *end;
    for (char *name = list; (end = strchr(name, ' ')); name = end + 1) {
        *end = '\0';
        Dl_info ours = { 0 }, theirs = { 0 };
        void *first = dlsym(RTLD_DEFAULT, name);
        if (!first || !dladdr(first, &ours) || !dladdr((void *)weft_run, &theirs) ||
            ours.dli_fbase != theirs.dli_fbase)
            print_error("%s() is not weft's\n", name);
        assert_ptr_equal(ours.dli_fbase, theirs.dli_fbase);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        weft_unit_test(calls_of_a_shared_object_park_too),
        weft_unit_test(every_wrapper_is_visible_to_shared_objects),
    };
    return berth_test_main(tests, NULL, NULL);
}
