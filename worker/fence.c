/* SPDX-License-Identifier: MIT
 *
 * The fence page. What one thread writes as a whole (session and epochs) is kept twice: the writer
 * fills the copy that nobody reads and then turns the version, so being killed in between loses the
 * new and keeps the old. The table of attempts is claimed slot by slot.
 */
#include "worker/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

#define FENCE_MAGIC     UINT64_C(0x33656e6566626572) /* changes with the layout */
#define FENCE_READS_MAX 1000                         /* a page that never stands still is damaged */
#define FENCE_CLAIMED   UINT64_MAX                   /* a slot that is being filled */

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock would not survive the child's death");
_Static_assert(sizeof(_Atomic uint64_t) == 8, "both sides map the same layout");

struct fence_record {
    _Atomic uint64_t session, epoch, lineage, epoch_seen, lineage_seen;
    _Atomic int64_t worker_lease_ms;
};

struct fence_slot {
    _Atomic uint64_t attempt; /* 0: free */
    _Atomic uint64_t job, number;
};

struct fence_page {
    uint64_t magic;
    struct fence_birth birth;
    int32_t event_fd;         /* the same number on both sides of the exec */
    _Atomic uint64_t version; /* the low bit says which record is the valid one */
    struct fence_record records[2];
    _Atomic int64_t lease_end_ms;
    _Atomic uint64_t culprit;
    _Atomic uint32_t alone_wanted;
    _Atomic uint32_t slot_count; /* slots ever used: those behind are untouched and free */
    struct fence_slot slots[FENCE_ATTEMPTS_MAX];
};

struct fence {
    struct fence_page *page;
    struct fence_birth birth; /* a copy that the child's user code does not reach */
    int fd, event_fd;
    _Atomic uint32_t hint; /* where to look for a free slot first */
};

/* NULL: see errno. Owns both descriptors on success alone. */
static struct fence *fence_map(int fd, int event_fd)
{
    struct fence *fence = calloc(1, sizeof *fence);
    if (!fence)
        return NULL;
    fence->page = mmap(NULL, sizeof *fence->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fence->page == MAP_FAILED) {
        free(fence);
        return NULL;
    }
    fence->fd = fd;
    fence->event_fd = event_fd;
    return fence;
}

int fence_new(const struct fence_birth *birth, struct fence **ret_fence, struct berth_error *err)
{
    BERTH_AUTO_FD int fd = memfd_create("berth-fence", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return berth_fail(err, -errno, "make the fence");
    if (ftruncate(fd, sizeof(struct fence_page)) < 0)
        return berth_fail(err, -errno, "make the fence");
    /* Cut short by the child, the keeper's next look at it would be a SIGBUS. */
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return berth_fail(err, -errno, "seal the fence");
    BERTH_AUTO_FD int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_fd < 0)
        return berth_fail(err, -errno, "make the fence's event");

    struct fence *fence = fence_map(fd, event_fd);
    if (!fence)
        return berth_fail(err, -errno, "map the fence");
    fence->birth = *birth;
    fence->page->magic = FENCE_MAGIC;
    fence->page->birth = *birth;
    fence->page->event_fd = berth_take_fd(&event_fd);
    (void)berth_take_fd(&fd);
    fence_set_epoch_seen(fence, birth->epoch_seen, birth->lineage_seen);
    *ret_fence = fence;
    return 0;
}

int fence_open(int fd, struct fence **ret_fence, struct berth_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof(struct fence_page))
        return berth_fail(err, BERTH_EUSAGE, "descriptor %d is no fence of a keeper", fd);
    struct fence *fence = fence_map(fd, -1);
    if (!fence)
        return berth_fail(err, -errno, "map the fence");
    /* Not yet the fence's: a refused descriptor stays the caller's. */
    fence->fd = -1;
    if (fence->page->magic != FENCE_MAGIC) {
        fence_free(fence);
        return berth_fail(err, BERTH_EUSAGE, "descriptor %d is no fence of this version", fd);
    }
    int event_fd = fence->page->event_fd;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(event_fd, F_SETFD, FD_CLOEXEC) < 0) {
        int rc = berth_fail(err, -errno, "take over the fence");
        fence_free(fence);
        return rc;
    }
    fence->fd = fd;
    fence->event_fd = event_fd;
    fence->birth = fence->page->birth;
    *ret_fence = fence;
    return 0;
}

void fence_free(struct fence *fence)
{
    if (!fence)
        return;
    (void)munmap(fence->page, sizeof *fence->page);
    berth_close(fence->fd);
    berth_close(fence->event_fd);
    free(fence);
}

int fence_fd(const struct fence *fence)
{
    return fence->fd;
}

int fence_inherit(const struct fence *fence)
{
    if (fcntl(fence->fd, F_SETFD, 0) < 0 || fcntl(fence->event_fd, F_SETFD, 0) < 0)
        return -errno;
    return 0;
}

int fence_event_fd(const struct fence *fence)
{
    return fence->event_fd;
}

void fence_event_clear(struct fence *fence)
{
    uint64_t count;
    ssize_t bytes = read(fence->event_fd, &count, sizeof count);
    (void)bytes;
}

const struct fence_birth *fence_birth(const struct fence *fence)
{
    return &fence->birth;
}

static uint64_t get(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void put(_Atomic uint64_t *value, uint64_t to)
{
    atomic_store_explicit(value, to, memory_order_relaxed);
}

static void record_read(const struct fence_record *record, struct fence_state *ret_state)
{
    *ret_state = (struct fence_state){
        .session = get(&record->session),
        .epoch = (uint32_t)get(&record->epoch),
        .lineage = get(&record->lineage),
        .worker_lease_ms = atomic_load_explicit(&record->worker_lease_ms, memory_order_relaxed),
        .epoch_seen = (uint32_t)get(&record->epoch_seen),
        .lineage_seen = get(&record->lineage_seen),
    };
}

void fence_read(const struct fence *fence, struct fence_state *ret_state)
{
    const struct fence_page *page = fence->page;
    uint64_t version = atomic_load_explicit(&page->version, memory_order_acquire);
    for (int i = 0; i < FENCE_READS_MAX; i++) {
        record_read(&page->records[version & 1], ret_state);
        atomic_thread_fence(memory_order_acquire);
        uint64_t now = atomic_load_explicit(&page->version, memory_order_acquire);
        if (now == version)
            break;
        version = now;
    }
    ret_state->lease_end_ms = atomic_load_explicit(&page->lease_end_ms, memory_order_acquire);
}

/* Makes `state` the valid record. */
static void record_write(struct fence_page *page, const struct fence_state *state)
{
    uint64_t version = atomic_load_explicit(&page->version, memory_order_relaxed) + 1;
    struct fence_record *record = &page->records[version & 1];
    atomic_thread_fence(memory_order_release);
    put(&record->session, state->session);
    put(&record->epoch, state->epoch);
    put(&record->lineage, state->lineage);
    put(&record->epoch_seen, state->epoch_seen);
    put(&record->lineage_seen, state->lineage_seen);
    atomic_store_explicit(&record->worker_lease_ms, state->worker_lease_ms, memory_order_relaxed);
    atomic_store_explicit(&page->version, version, memory_order_release);
}

static void state_see(struct fence_state *state, uint32_t epoch, uint64_t lineage)
{
    if (epoch <= state->epoch_seen)
        return;
    state->epoch_seen = epoch;
    state->lineage_seen = lineage;
}

void fence_set_epoch_seen(struct fence *fence, uint32_t epoch, uint64_t lineage)
{
    struct fence_state state;
    fence_read(fence, &state);
    state_see(&state, epoch, lineage);
    record_write(fence->page, &state);
}

static void wake_keeper(const struct fence *fence)
{
    uint64_t one = 1;
    ssize_t bytes = write(fence->event_fd, &one, sizeof one);
    (void)bytes; /* EAGAIN alone: it is readable already */
}

void fence_set_session(struct fence *fence, uint64_t session, uint32_t epoch, uint64_t lineage,
                       int64_t worker_lease_ms)
{
    BERTH_ASSERT(session != 0);
    BERTH_ASSERT(worker_lease_ms > 0);
    BERTH_ASSERT(worker_lease_ms <= FENCE_LEASE_MS_MAX);
    struct fence_state state;
    fence_read(fence, &state);
    state.session = session;
    state.epoch = epoch;
    state.lineage = lineage;
    state.worker_lease_ms = worker_lease_ms;
    state_see(&state, epoch, lineage);
    record_write(fence->page, &state);
    wake_keeper(fence);
}

void fence_set_lease_end(struct fence *fence, int64_t end_ms)
{
    if (end_ms > atomic_load_explicit(&fence->page->lease_end_ms, memory_order_relaxed))
        atomic_store_explicit(&fence->page->lease_end_ms, end_ms, memory_order_release);
}

static void raise_to(_Atomic uint32_t *value, uint32_t to)
{
    uint32_t was = atomic_load_explicit(value, memory_order_relaxed);
    while (was < to && !atomic_compare_exchange_weak(value, &was, to))
        continue;
}

static bool slot_claim(struct fence_page *page, uint32_t index, const struct fence_attempt *attempt)
{
    struct fence_slot *slot = &page->slots[index];
    uint64_t free_slot = 0;
    if (!atomic_compare_exchange_strong(&slot->attempt, &free_slot, FENCE_CLAIMED))
        return false;
    raise_to(&page->slot_count, index + 1);
    put(&slot->job, attempt->job);
    put(&slot->number, attempt->number);
    atomic_store_explicit(&slot->attempt, attempt->attempt, memory_order_release);
    return true;
}

int fence_attempt_add(struct fence *fence, uint64_t attempt, uint64_t job, uint32_t number)
{
    struct fence_attempt entry = { .attempt = attempt, .job = job, .number = number };
    BERTH_ASSERT(attempt != 0);
    BERTH_ASSERT(attempt != FENCE_CLAIMED);
    /* The hint may be beyond a slot that was freed meanwhile, hence the second round from 0. */
    uint32_t start = atomic_load(&fence->hint);
    for (uint32_t i = 0; i < 2 * FENCE_ATTEMPTS_MAX - start; i++) {
        uint32_t index = (start + i) % FENCE_ATTEMPTS_MAX;
        if (!slot_claim(fence->page, index, &entry))
            continue;
        atomic_store(&fence->hint, (index + 1) % FENCE_ATTEMPTS_MAX);
        return (int)index;
    }
    return -ENOSPC;
}

void fence_attempt_remove(struct fence *fence, int place)
{
    BERTH_ASSERT(place >= 0);
    BERTH_ASSERT(place < FENCE_ATTEMPTS_MAX);
    atomic_store_explicit(&fence->page->slots[place].attempt, 0, memory_order_release);
    /* Low places first, so that the keeper walks, and the page takes, little memory. */
    if ((uint32_t)place < atomic_load(&fence->hint))
        atomic_store(&fence->hint, (uint32_t)place);
}

size_t fence_attempts(const struct fence *fence, struct fence_attempt *ret_attempts,
                      size_t count_max)
{
    const struct fence_page *page = fence->page;
    uint32_t slot_count = atomic_load(&page->slot_count);
    if (slot_count > FENCE_ATTEMPTS_MAX)
        slot_count = FENCE_ATTEMPTS_MAX;
    size_t count = 0;
    for (uint32_t i = 0; i < slot_count && count < count_max; i++) {
        uint64_t attempt = atomic_load_explicit(&page->slots[i].attempt, memory_order_acquire);
        if (attempt == 0 || attempt == FENCE_CLAIMED)
            continue;
        ret_attempts[count++] = (struct fence_attempt){
            .attempt = attempt,
            .job = get(&page->slots[i].job),
            .number = (uint32_t)get(&page->slots[i].number),
        };
    }
    return count;
}

void fence_start_alone(struct fence *fence, uint32_t count)
{
    (void)atomic_fetch_add(&fence->page->alone_wanted, count);
    wake_keeper(fence);
}

uint32_t fence_alone_wanted(const struct fence *fence)
{
    return atomic_load(&fence->page->alone_wanted);
}

void fence_set_culprit(struct fence *fence, uint64_t attempt)
{
    uint64_t nobody = 0;
    (void)atomic_compare_exchange_strong(&fence->page->culprit, &nobody, attempt);
}

uint64_t fence_culprit(const struct fence *fence)
{
    return atomic_load(&fence->page->culprit);
}
