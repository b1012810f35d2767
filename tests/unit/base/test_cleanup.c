/* SPDX-License-Identifier: MIT
 *
 * Owned locals: freed at the end of their scope unless they were handed over.
 */
#include "support/berthtest.h"

#include <fcntl.h>
#include <stdbool.h>

#include "base/cleanup.h"

struct thing {
    int *freed_count;
};

static void thing_free(struct thing *thing)
{
    if (thing)
        ++*thing->freed_count;
}
BERTH_AUTO_DEFINE(thing);

static void an_owned_local_is_freed_at_the_end_of_its_scope(void **state)
{
    (void)state;
    int freed_count = 0;
    struct thing one = { .freed_count = &freed_count };
    {
        BERTH_AUTO(thing) thing = &one;
        assert_int_equal(*thing->freed_count, 0);
    }
    assert_int_equal(freed_count, 1);
}

static struct thing *hand_over(struct thing *given)
{
    BERTH_AUTO(thing) thing = given;
    return berth_take(thing);
}

static void what_was_taken_is_not_freed(void **state)
{
    (void)state;
    int freed_count = 0;
    struct thing one = { .freed_count = &freed_count };

    assert_ptr_equal(hand_over(&one), &one);

    assert_int_equal(freed_count, 0);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void a_descriptor_is_closed_unless_taken(void **state)
{
    (void)state;
    int closed, kept;
    {
        BERTH_AUTO_FD int a = open("/dev/null", O_RDONLY | O_CLOEXEC);
        BERTH_AUTO_FD int b = open("/dev/null", O_RDONLY | O_CLOEXEC);
        BERTH_AUTO_FD int none = -1;
        assert_true(a >= 0 && b >= 0 && none == -1);
        closed = a;
        kept = berth_take_fd(&b);
        assert_int_equal(b, -1);
    }
    assert_false(is_open(closed));
    assert_true(is_open(kept));
    berth_close(kept);
    assert_false(is_open(kept));
}

static void closing_keeps_errno(void **state)
{
    (void)state;
    errno = EIO;
    berth_close(1 << 20);
    assert_int_equal(errno, EIO);
}

/* LeakSanitizer is what would notice. */
static void memory_is_freed(void **state)
{
    (void)state;
    BERTH_AUTO_MEM char *text = strdup("text"), *none = NULL;
    assert_non_null(text);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_owned_local_is_freed_at_the_end_of_its_scope),
        cmocka_unit_test(what_was_taken_is_not_freed),
        cmocka_unit_test(a_descriptor_is_closed_unless_taken),
        cmocka_unit_test(closing_keeps_errno),
        cmocka_unit_test(memory_is_freed),
    };
    return berth_test_main(tests, NULL, NULL);
}
