// The market ring as a sequence of operations against a plain queue: push, take, give back, sleep, close.
#include "exact_copy.hpp"
#include "tradewind_native/market_ring.h"

#include <algorithm>
#include <deque>
#include <sys/eventfd.h>

namespace {

constexpr uint64_t CAPACITY = 8;

// What the ring must hold, with what the consumer has taken and not given back.
struct Model {
    struct Held {
        uint64_t sequence;
        bool after_gap;
    };
    std::deque<Held> waiting;
    size_t borrowed = 0;
    uint64_t dropped = 0;
    bool gap = false;

    size_t room() const { return CAPACITY - waiting.size() - borrowed; }
};

void push(MarketRing& ring, Model& model, uint64_t& next, size_t count) {
    MarketRecord records[16] = {};
    for (size_t index = 0; index < count; ++index) records[index].sequence = ++next;
    const size_t fits = std::min(count, model.room());
    must(ring_push(&ring, records, count) == static_cast<int64_t>(fits));
    for (size_t index = 0; index < fits; ++index) {
        model.waiting.push_back({records[index].sequence, model.gap});
        model.gap = false;
    }
    model.dropped += count - fits;
    model.gap = model.gap || fits != count;
}

void take(MarketRing& ring, Model& model, size_t most) {
    MarketRecord* first = nullptr;
    const uint64_t got = ring_take(&ring, most, &first);
    must(got <= std::min<size_t>(most, model.waiting.size()));
    must(got != 0 || most == 0 || model.waiting.empty());
    for (uint64_t index = 0; index < got; ++index) {
        const Model::Held held = model.waiting.front();
        model.waiting.pop_front();
        must(first[index].sequence == held.sequence);
        must(((first[index].flags & RING_FLAG_GAP) != 0) == held.after_gap);
    }
    model.borrowed += got;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const int wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    MarketRing ring;
    must(ring_open(&ring, CAPACITY, wake_fd) == 0);
    Model model;
    uint64_t next = 0;
    for (size_t index = 0; index < size; ++index) {
        const size_t count = data[index] / 8 % 16;
        switch (data[index] % 8) {
            case 0: case 1: case 2: push(ring, model, next, count); break;
            case 3: case 4: take(ring, model, count); break;
            case 5: ring_release(&ring); model.borrowed = 0; break;
            case 6: must(ring_arm(&ring) == (model.waiting.empty() ? 1 : 0)); break;
            default: if (count == 15) { ring_close(&ring); must(ring_push(&ring, nullptr, 0) == -1); size = index; }
        }
    }
    must(ring.dropped == model.dropped && ring.high_water <= CAPACITY);
    while (!model.waiting.empty()) take(ring, model, 16);
    ring_free(&ring);
    return 0;
}
