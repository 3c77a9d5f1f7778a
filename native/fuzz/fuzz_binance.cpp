// Binance spot: frames of streams and depth snapshots. The first byte chooses.
#include "exact_copy.hpp"
#include "tradewind_native/binance_frames.hpp"

#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    static tradewind::FrameDecoder* decoder = [] {
        auto* made = new tradewind::FrameDecoder();
        made->add_instrument("BTCUSDT", 7, {1, 2, 8});
        made->add_instrument("ETHUSDT", 7, {2, 18, 0});
        return made;
    }();
    const ExactCopy frame(data + 1, size - 1);
    const int read = data[0] & 1 ? decoder->read_snapshot(frame.text(), frame.size(), "BTCUSDT", 7)
                                 : decoder->read_frame(frame.text(), frame.size());
    if (read != tradewind::DECODED) {
        must(!decoder->reason().empty());
        return 0;
    }
    const size_t count = decoder->record_count();
    // A level is at least seven characters, such as ["1","1"] less its comma.
    must(count <= 2 + frame.size() / 7);
    std::vector<MarketRecord> records(count);
    decoder->write_records(records.data(), 1);
    return 0;
}
