// One side of a price-level structure: a vector with the best level last.
//
// A level's key is its price on the bid side and ~price on the ask side, so that on both sides a better price has a
// greater key. (~price is -price - 1: it turns the order round and cannot overflow.)
#ifndef TRADEWIND_PRICE_LEVELS_HPP
#define TRADEWIND_PRICE_LEVELS_HPP

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tradewind_native/market_record.h"

namespace tradewind {

// Its own inverse.
inline int64_t key_of(int side, int64_t price) { return side == SIDE_BUY ? price : ~price; }

// 1 or 0, as a number that the compiler multiplies or selects by.
inline size_t levels_below(int64_t level, int64_t key) { return static_cast<size_t>(level < key); }

// The first index with at least `key`: galloping from the best level, where nearly all updates are.
template <class Level>
inline size_t first_not_below(const std::vector<Level>& levels, int64_t key) {
    size_t high = levels.size();
    size_t step = 1;
    size_t low = 0;
    while (step <= high) {
        if (levels[high - step].key < key) {
            low = high - step + 1;
            break;
        }
        high -= step;
        step *= 2;
    }
    // Without a branch: where in a deep book an update falls, no branch predictor knows.
    const Level* at = levels.data() + low;
    for (size_t left = high - low; left != 0;) {
        const size_t half = (left + 1) / 2;
        at += levels_below(at[half - 1].key, key) * half;
        left -= half;
    }
    return static_cast<size_t>(at - levels.data());
}

template <class Level>
inline bool has_key(const std::vector<Level>& levels, size_t index, int64_t key) {
    return index < levels.size() && levels[index].key == key;
}

template <class Level>
inline void insert_level(std::vector<Level>& levels, size_t index, const Level& level) {
    levels.insert(levels.begin() + static_cast<ptrdiff_t>(index), level);
}

template <class Level>
inline void erase_level(std::vector<Level>& levels, size_t index) {
    levels.erase(levels.begin() + static_cast<ptrdiff_t>(index));
}

}  // namespace tradewind

#endif
