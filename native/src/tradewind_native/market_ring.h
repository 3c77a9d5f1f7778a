/* A bounded ring of market records from one vendor thread to one consumer. Lock-free; C11 and C++.
 *
 * The producer never waits and never needs Python: what does not fit is counted, and the next record that fits carries
 * the flag GAP. The consumer sleeps on a file descriptor that is written once per sleep, not once per record: it is armed
 * (`sleeping`) only by a consumer that found the ring empty.
 *
 * The memory orders are those of C11. They are spelled with the compiler's __atomic built-ins (gcc, clang), because
 * C++17 has no <stdatomic.h>. Publishing `head` and reading `sleeping` on one side, setting `sleeping` and reading `head` on
 * the other, must be sequentially consistent: otherwise both could miss the other's word, and the consumer sleeps over records.
 */
#ifndef TRADEWIND_MARKET_RING_H
#define TRADEWIND_MARKET_RING_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tradewind_native/market_record.h"

enum { RING_FLAG_GAP = 4, RING_LINE = 64 };

typedef struct {
    MarketRecord* records;
    uint64_t capacity; /* a power of two */
    int wake_fd;
    char pad_0[RING_LINE];
    /* The producer's. */
    uint64_t head;
    uint64_t tail_seen;
    uint64_t dropped;
    uint64_t wake_ups;
    uint64_t high_water;
    int gap;
    char pad_1[RING_LINE];
    /* The consumer's. */
    uint64_t tail;
    uint64_t taken;
    char pad_2[RING_LINE];
    int sleeping;
    int closed;
} MarketRing;

#define RING_LOAD(field, order) __atomic_load_n(&(field), order)
#define RING_STORE(field, value, order) __atomic_store_n(&(field), value, order)

/* 0, or -1 without memory. `wake_fd`: non-blocking, an eventfd or the writing end of a pipe; stays the caller's. */
static inline int ring_open(MarketRing* ring, uint64_t capacity, int wake_fd) {
    void* memory = NULL;
    memset(ring, 0, sizeof *ring);
    if (capacity == 0 || (capacity & (capacity - 1)) != 0 || capacity > SIZE_MAX / sizeof(MarketRecord)) return -1;
    if (posix_memalign(&memory, RING_LINE, (size_t)capacity * sizeof(MarketRecord)) != 0) return -1;
    ring->records = (MarketRecord*)memory;
    ring->capacity = capacity;
    ring->wake_fd = wake_fd;
    return 0;
}

static inline void ring_free(MarketRing* ring) {
    free(ring->records);
    ring->records = NULL;
}

static inline void ring_wake(MarketRing* ring) {
    const uint64_t one = 1;
    /* A full pipe or counter means that the consumer is woken already. */
    ssize_t written = write(ring->wake_fd, &one, sizeof one);
    (void)written;
}

static inline void ring_wake_sleeper(MarketRing* ring) {
    if (RING_LOAD(ring->sleeping, __ATOMIC_SEQ_CST) && __atomic_exchange_n(&ring->sleeping, 0, __ATOMIC_SEQ_CST)) {
        __atomic_fetch_add(&ring->wake_ups, 1, __ATOMIC_RELAXED);
        ring_wake(ring);
    }
}

/* Producer: write `count` records; answers how many fitted, or -1 when the ring is closed. */
static inline int64_t ring_push(MarketRing* ring, const MarketRecord* records, uint64_t count) {
    const uint64_t head = ring->head;
    const uint64_t mask = ring->capacity - 1;
    uint64_t fits = ring->capacity - (head - ring->tail_seen);
    uint64_t at, first, used;
    if (RING_LOAD(ring->closed, __ATOMIC_ACQUIRE)) return -1;
    if (count == 0) return 0;
    if (fits < count) {
        ring->tail_seen = RING_LOAD(ring->tail, __ATOMIC_ACQUIRE);
        fits = ring->capacity - (head - ring->tail_seen);
    }
    if (fits > count) fits = count;
    if (fits != 0) {
        at = head & mask;
        first = ring->capacity - at < fits ? ring->capacity - at : fits;
        memcpy(ring->records + at, records, (size_t)first * sizeof(MarketRecord));
        memcpy(ring->records, records + first, (size_t)(fits - first) * sizeof(MarketRecord));
        if (ring->gap) {
            ring->records[at].flags |= RING_FLAG_GAP;
            ring->gap = 0;
        }
        used = head + fits - ring->tail_seen;
        if (used > ring->high_water) {
            ring->tail_seen = RING_LOAD(ring->tail, __ATOMIC_ACQUIRE);
            used = head + fits - ring->tail_seen;
            if (used > ring->high_water) RING_STORE(ring->high_water, used, __ATOMIC_RELAXED);
        }
        RING_STORE(ring->head, head + fits, __ATOMIC_SEQ_CST);
    }
    if (fits != count) {
        ring->gap = 1;
        __atomic_fetch_add(&ring->dropped, count - fits, __ATOMIC_RELAXED);
    }
    ring_wake_sleeper(ring);
    return (int64_t)fits;
}

/* Consumer: the records from here on that lie in one piece, at most `most`; they stay until ring_release(). */
static inline uint64_t ring_take(MarketRing* ring, uint64_t most, MarketRecord** first) {
    const uint64_t at = ring->taken & (ring->capacity - 1);
    uint64_t count = RING_LOAD(ring->head, __ATOMIC_ACQUIRE) - ring->taken;
    if (count > ring->capacity - at) count = ring->capacity - at;
    if (count > most) count = most;
    *first = ring->records + at;
    ring->taken += count;
    return count;
}

/* Consumer: give all taken records back to the producer. */
static inline void ring_release(MarketRing* ring) { RING_STORE(ring->tail, ring->taken, __ATOMIC_RELEASE); }

/* Consumer: ask to be woken. 1: sleep until the descriptor is readable; 0: there is something to do already. */
static inline int ring_arm(MarketRing* ring) {
    RING_STORE(ring->sleeping, 1, __ATOMIC_SEQ_CST);
    if (RING_LOAD(ring->head, __ATOMIC_SEQ_CST) == ring->taken && !RING_LOAD(ring->closed, __ATOMIC_SEQ_CST)) return 1;
    RING_STORE(ring->sleeping, 0, __ATOMIC_SEQ_CST);
    return 0;
}

/* Either side: no record goes in any more, those inside can still be taken. */
static inline void ring_close(MarketRing* ring) {
    RING_STORE(ring->closed, 1, __ATOMIC_SEQ_CST);
    ring_wake(ring);
}

#endif
