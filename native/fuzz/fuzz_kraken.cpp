// Kraken v1: book, trade, spread.
#include "fuzz_books.hpp"
#include "tradewind_native/kraken_frames.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    return fuzz_frames<tradewind::KrakenFrames>(data, size, {"WAVES/EUR", "XBT/CHF"}, 7);
}
