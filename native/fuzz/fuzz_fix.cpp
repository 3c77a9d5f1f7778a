// FIX: the fields of an ExecutionReport, and market data messages.
//
// Noise never has a right BodyLength and CheckSum, so the input is also read as a body that is framed here.
#include "fuzz_books.hpp"
#include "tradewind_native/fix_market_frames.hpp"

namespace {

std::string framed(const uint8_t* data, size_t size) {
    std::string body(reinterpret_cast<const char*>(data), size);
    for (char& each : body) each = each == '|' ? '\001' : each;
    std::string whole = "8=FIX.4.4\0019=" + std::to_string(body.size()) + "\001" + body;
    const unsigned sum = tradewind::fix_sum(whole.data(), whole.size());
    return whole + "10=" + std::to_string(1000 + sum).substr(1) + "\001";
}

void read_fields(const char* message, size_t size) {
    tradewind::FixSpan spans[tradewind::FIX_SLOTS];
    if (tradewind::fix_fields(message, size, spans) != tradewind::FixFault::NONE) return;
    for (const tradewind::FixSpan& span : spans) {
        if (span.at == nullptr) continue;
        must(span.at > message && span.at + span.size < message + size && span.size > 0);
        int64_t number = 0;
        tradewind::parse_decimal(span.at, '\001', 8, false, number);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string whole = framed(data, size);
    const ExactCopy message(reinterpret_cast<const uint8_t*>(whole.data()), whole.size());
    read_fields(message.text(), message.size());
    const ExactCopy noise(data, size);
    read_fields(noise.text(), noise.size());
    fuzz_frames<tradewind::FixMarketFrames>(data, size, {"BTCUSDT", "MSFT"}, 7);
    return fuzz_frames<tradewind::FixMarketFrames>(message.begin(), message.size(), {"BTCUSDT", "MSFT"}, 7);
}
