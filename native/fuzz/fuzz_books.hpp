// What the fuzzers of decoders with one interface share: one decoder for the whole run, as in a connection.
#pragma once

#include "exact_copy.hpp"
#include "tradewind_native/book_frames.hpp"

#include <initializer_list>
#include <string>
#include <vector>

template <class Frames>
inline int fuzz_frames(const uint8_t* data, size_t size, std::initializer_list<const char*> symbols, size_t shortest) {
    static Frames* frames = [&] {
        auto* made = new Frames();
        int precision = 2;
        for (const char* symbol : symbols) {
            made->add_instrument(symbol, std::string(symbol).size(), {static_cast<uint32_t>(precision), precision, 8});
            precision += 4;
        }
        return made;
    }();
    const ExactCopy frame(data, size);
    const int verdict = frames->read(frame.text(), frame.size(), 1);
    if (verdict != tradewind::DECODED) {
        must(!frames->reason().empty());
        return 0;
    }
    must(frames->record_count() <= 2 + frame.size() / shortest);
    std::vector<MarketRecord> records(frames->record_count());
    frames->copy_records(records.data());
    return 0;
}
