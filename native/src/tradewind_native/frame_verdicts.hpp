// What all decoders of venues' frames share: bounds, verdicts, and what they must know of an instrument.
#ifndef TRADEWIND_FRAME_VERDICTS_HPP
#define TRADEWIND_FRAME_VERDICTS_HPP

#include <cstddef>
#include <cstdint>

namespace tradewind {

constexpr size_t MAX_FRAME_BYTES = 16 * 1024 * 1024;
constexpr size_t MAX_LEVELS = 50'000;
constexpr uint64_t NS_PER_MS = 1'000'000;

enum Verdict : int { DECODED = 0, MALFORMED = 1, UNKNOWN = 2 };
enum Kind : int { CONTROL = 0, DEPTH = 1, TICKER = 2, TRADE = 3, SNAPSHOT = 4 };

struct Instrument {
    uint32_t number;
    int price_precision;
    int size_precision;
};

}  // namespace tradewind

#endif
