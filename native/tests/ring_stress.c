/* A producer thread and a sleeping consumer over a small ring: run under ThreadSanitizer. 0: every record came or was counted. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "tradewind_native/market_ring.h"

enum { TOTAL = 300000, PIECE = 7 };

static void* produce(void* argument) {
    MarketRing* ring = (MarketRing*)argument;
    MarketRecord records[PIECE];
    uint64_t sequence = 0;
    memset(records, 0, sizeof records);
    while (sequence < TOTAL) {
        uint64_t count = 0;
        while (count < PIECE && sequence < TOTAL) records[count++].sequence = ++sequence;
        ring_push(ring, records, count);
    }
    ring_close(ring);
    return NULL;
}

int main(void) {
    MarketRing ring;
    MarketRecord* first;
    pthread_t thread;
    uint64_t seen = 0, latest = 0, count;
    struct pollfd waiting = {eventfd(0, EFD_NONBLOCK), POLLIN, 0};
    if (ring_open(&ring, 256, waiting.fd) != 0 || pthread_create(&thread, NULL, produce, &ring) != 0) return 2;
    for (;;) {
        count = ring_take(&ring, 64, &first);
        for (uint64_t index = 0; index < count; ++index) {
            const int gap = (first[index].flags & RING_FLAG_GAP) != 0;
            if (gap != (first[index].sequence != latest + 1)) return 3;
            latest = first[index].sequence;
        }
        seen += count;
        if (count != 0) {
            ring_release(&ring);
        } else if (ring_arm(&ring)) {
            uint64_t wakes;
            if (poll(&waiting, 1, 20000) != 1) return 4;
            if (read(waiting.fd, &wakes, sizeof wakes) < 0) return 5;
        } else if (RING_LOAD(ring.closed, __ATOMIC_ACQUIRE) && RING_LOAD(ring.head, __ATOMIC_ACQUIRE) == seen) {
            break;
        }
    }
    pthread_join(thread, NULL);
    printf("seen %llu dropped %llu\n", (unsigned long long)seen, (unsigned long long)ring.dropped);
    count = seen + ring.dropped;
    ring_free(&ring);
    return count == TOTAL ? 0 : 1;
}
