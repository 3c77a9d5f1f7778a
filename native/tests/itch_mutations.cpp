// Seeded mutations of every ITCH message through decoder and books: run under AddressSanitizer and UBSan.
#include <memory>

#include "tradewind_native/itch_messages.hpp"
#include "tradewind_native/order_table.hpp"

namespace {

uint64_t state = 20240808;

uint64_t draw(uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

void append(std::vector<uint8_t>& stream, uint8_t kind) {
    const uint8_t size = tradewind::itch::LENGTHS[kind] ? tradewind::itch::LENGTHS[kind] : 1 + draw(60);
    stream.push_back(0);
    stream.push_back(size);
    for (int at = 0; at < size; ++at) stream.push_back(at == 0 ? kind : at % 8 == 2 || at > 28 ? draw(4) : 0);
    if (kind == 'A' || kind == 'F' || kind == 'P') stream[stream.size() - size + 19] = draw(2) ? 'B' : 'S';
}

void round(const std::vector<uint8_t>& stream) {
    tradewind::itch::Decoder decoder;
    tradewind::OrderBooks books;
    for (auto& instrument : decoder.instruments) instrument = 1 + draw(3);
    // Exactly as long as the stream: one byte too far is seen.
    std::unique_ptr<uint8_t[]> exact(new uint8_t[stream.size()]);
    std::memcpy(exact.get(), stream.data(), stream.size());
    std::unique_ptr<MarketRecord[]> records(new MarketRecord[8]);
    const uint8_t* at = exact.get();
    const uint8_t* end = at + stream.size();
    using tradewind::itch::Stop;
    for (Stop stop = Stop::NEEDS_ROOM; stop == Stop::NEEDS_ROOM || stop == Stop::DIRECTORY;) {
        MarketRecord* out = records.get();
        stop = decoder.frames(at, end, out, records.get() + 8);
        for (const MarketRecord* each = records.get(); each != out; ++each) books.apply(*each);
    }
}

}  // namespace

int main() {
    const char kinds[] = "SRHYLVWKJhAAAAFECXXDUUPQBINOz";
    for (int turn = 0; turn < 5000; ++turn) {
        std::vector<uint8_t> stream;
        for (uint64_t count = 1 + draw(40); count != 0; --count) append(stream, kinds[draw(sizeof kinds - 1)]);
        for (uint64_t changes = draw(4); changes != 0; --changes) stream[draw(stream.size())] = draw(256);
        if (draw(2)) stream.resize(1 + draw(stream.size()));
        round(stream);
    }
    return 0;
}
