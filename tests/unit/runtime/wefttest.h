/* SPDX-License-Identifier: MIT
 *
 * Tests of weft. A cmocka assertion leaves by longjmp and so must not stand in a coroutine: bodies
 * put what they see into their argument, and the test asserts on the main stack afterwards.
 */
#pragma once

#include "support/berthtest.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <weft/weft.h>

#include "switch.h"

/* Under a sanitizer or an emulator a hundredth of the rounds is enough, and as much as one can wait
 * for. */
#ifndef TEST_IS_EMULATED
#define TEST_IS_EMULATED 0
#endif
#define TEST_IS_SLOW (WEFT_ASAN || WEFT_TSAN || TEST_IS_EMULATED)

/* Far longer than anything takes: a test that gets there has failed. */
#define TEST_WAIT_MS 60000

/* Each test ends with weft shut down, so that nothing of it is left for the next. */
static inline int weft_test_teardown(void **state)
{
    (void)state;
    return weft_shutdown();
}

#define weft_unit_test(f) cmocka_unit_test_teardown(f, weft_test_teardown)

/* Ends a test of libc's calls that park or are pooled. One that holds its thread instead would be
 * compensated, and the test would pass: so hardly anybody may have been. A test in which only one
 * waits makes it wait twice. */
int weft_parking_teardown(void **state);

#define parking_unit_test(f) cmocka_unit_test_teardown(f, weft_parking_teardown)

/* For tests that set weft_virtual() up with one thread: who blocked it would stop everybody. */
int one_thread(void **state);
#define one_thread_test(f) cmocka_unit_test_setup_teardown(f, one_thread, weft_parking_teardown)

/* Plain thread: runs fn(arg) on virtual; its result. */
int run_virtual(weft_fn fn, void *arg);

/* Coroutine: runs fn(arg) `count` times at once on `d`, and waits for all: the first failure. */
int launch_many(struct weft_dispatcher *d, int count, weft_fn fn, void *arg);

/* Adds one to the int, with time enough in between for a second one to spoil it. */
int increment(void *arg);

/* Coroutine: waits until another one has set the flag; false after TEST_WAIT_MS. Deaf to cancelling
 * in that it then gives up at once. */
bool test_await(const atomic_bool *is_true);

/* Any thread: the same, blocking it. */
bool test_block_until(atomic_bool *is_true);

/* How often the monitor has given the seat of a thread that it took for stuck to another one: what
 * was parked there goes on elsewhere, as it should. */
unsigned test_replaced(void);

/* Runs fn(arg) in a process of its own and asserts that it ends by abort() after a line on stderr
 * that contains `text`. To be called while weft is shut down. */
void assert_dies(int (*fn)(void *arg), void *arg, const char *text);
void assert_dies_of(int signal_number, int (*fn)(void *arg), void *arg, const char *text);

/* Fills io with bodies that block their threads until io_free(). weft_configure({ .io_threads = 1
 * }) makes one enough. */
struct io_block {
    atomic_bool is_blocked, is_free;
    struct weft_task *root;
};
void io_block(struct io_block *block);
void io_free(struct io_block *block);

/* Runs fn(arg) on virtual, whose `count` coroutines raise `done` behind a call that is to be done
 * on io: none gets there while io is full, and all do when it is not. (That a call holds no thread
 * would not show: those that are quick hold none for long.) */
void assert_pooled(weft_fn fn, void *arg, const atomic_int *done, int count);
