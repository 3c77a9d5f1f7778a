// ITCH 5.0: framed messages, SoupBinTCP packets and MoldUDP64 blocks, through the books and what the books make.
//
// The first byte chooses the framing, and how many records there is room for; the rest is the stream.
#include "exact_copy.hpp"
#include "tradewind_native/book_changes.hpp"
#include "tradewind_native/itch_messages.hpp"

using tradewind::itch::Stop;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const int framing = data[0] % 3;
    const size_t room = 2 + data[0] / 3 % 64;
    const ExactCopy stream(data + 1, size - 1);
    if (framing == 1 && tradewind::itch::blocks_in(stream.begin(), stream.end()) < 0) return 0;
    // Its table of instruments is large, and is the same for every input.
    static tradewind::itch::Decoder fresh;
    for (size_t locate = 0; locate < 16; ++locate) fresh.instruments[locate] = 1 + locate % 3;
    tradewind::itch::Decoder& decoder = fresh;
    decoder.counts.fill(0);
    decoder.sequence = decoder.offset = 0;
    decoder.ended = false;
    tradewind::OrderBooks books;
    tradewind::BookChanges changes;
    std::unique_ptr<MarketRecord[]> records(new MarketRecord[room]);
    const uint8_t* at = stream.begin();
    for (Stop stop = Stop::NEEDS_ROOM; stop == Stop::NEEDS_ROOM || stop == Stop::DIRECTORY;) {
        MarketRecord* out = records.get();
        const uint8_t* const before = at;
        if (framing == 0) stop = decoder.frames(at, stream.end(), out, records.get() + room);
        else if (framing == 1) stop = decoder.blocks(at, stream.end(), out, records.get() + room);
        else stop = decoder.packets(at, stream.end(), out, records.get() + room);
        must(out <= records.get() + room && at <= stream.end());
        must(at != before || (stop != Stop::NEEDS_ROOM && stop != Stop::DIRECTORY));
        for (const MarketRecord* each = records.get(); each != out; ++each) {
            MarketRecord made[tradewind::MOST_CHANGES];
            MarketRecord* made_end = made;
            changes.follow(books, *each, made_end);
            must(made_end <= made + tradewind::MOST_CHANGES);
        }
    }
    must(books.orders() <= size);
    return 0;
}
