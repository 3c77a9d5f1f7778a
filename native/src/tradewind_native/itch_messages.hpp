// Nasdaq TotalView-ITCH 5.0 to market records: framing, lengths and fields, no memory of its own but the locate table.
//
// Source: "Nasdaq TotalView-ITCH 5.0" specification, section 1 (message formats), and BinaryFILE 1.00 for the
// two-byte length before each message.
#ifndef TRADEWIND_ITCH_MESSAGES_HPP
#define TRADEWIND_ITCH_MESSAGES_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "tradewind_native/market_record.h"

namespace tradewind::itch {

enum : uint8_t { KIND_ORDER_ADD = 4, KIND_ORDER_CANCEL = 6, KIND_ORDER_EXECUTE = 7, KIND_STATUS = 9 };

enum class Stop : int {
    NEEDS_INPUT = 0,
    NEEDS_ROOM = 1,
    DIRECTORY = 2,
    ENDED = 3,
    WRONG_LENGTH = 4,
    WRONG_FIELD = 5,
    AFTER_END = 6,
    OTHER_PACKET = 7,
};

// A message makes at most this many records (replace: the old order leaves, the new one comes).
constexpr size_t MOST_RECORDS = 2;

// The length of each known type; 0: unknown to this version of the protocol.
constexpr std::array<uint8_t, 256> make_lengths() {
    std::array<uint8_t, 256> lengths{};
    lengths['S'] = 12; lengths['R'] = 39; lengths['H'] = 25; lengths['Y'] = 20; lengths['L'] = 26; lengths['V'] = 35;
    lengths['W'] = 12; lengths['K'] = 28; lengths['J'] = 35; lengths['h'] = 21; lengths['A'] = 36; lengths['F'] = 40;
    lengths['E'] = 31; lengths['C'] = 36; lengths['X'] = 23; lengths['D'] = 19; lengths['U'] = 35; lengths['P'] = 44;
    lengths['Q'] = 40; lengths['B'] = 19; lengths['I'] = 50; lengths['N'] = 20; lengths['O'] = 48;
    return lengths;
}
constexpr std::array<uint8_t, 256> LENGTHS = make_lengths();

inline uint16_t read_16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

inline uint32_t read_32(const uint8_t* at) {
    uint32_t value;
    std::memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}

inline uint64_t read_64(const uint8_t* at) {
    uint64_t value;
    std::memcpy(&value, at, sizeof value);
    return __builtin_bswap64(value);
}

// Six bytes; reads the two before them too, which every message has.
inline uint64_t read_48(const uint8_t* at) { return read_64(at - 2) & 0xFFFFFFFFFFFFull; }

// What a stream has been through. `sequence` is the number of the last message, from 1.
struct Decoder {
    std::vector<uint32_t> instruments = std::vector<uint32_t>(65536, 0);  // by stock locate; 0: not wanted
    std::array<uint64_t, 256> counts{};
    int64_t midnight_ns = 0;
    int64_t ts_recv = 0;  // 0: the time of the event, as for a file
    uint64_t sequence = 0;
    uint64_t offset = 0;  // bytes of the framed stream taken so far
    bool ended = false;

    MarketRecord* place(MarketRecord* out, const uint8_t* message, uint32_t instrument, uint8_t kind, uint8_t side,
                        uint64_t order_id, int64_t price, int64_t size, uint8_t flags = FLAG_LAST) const {
        const int64_t at = midnight_ns + static_cast<int64_t>(read_48(message + 5));
        *out = MarketRecord{at, ts_recv ? ts_recv : at, price, size, order_id, sequence + 1, instrument, kind, side,
                            flags, 0, 0};
        return out + 1;
    }

    // One message of a known type and of its right length. Null: a field says what the protocol does not know.
    MarketRecord* write(const uint8_t* m, MarketRecord* out) const {
        const uint32_t instrument = instruments[read_16(m + 1)];
        if (m[0] == 'S') return place(out, m, 0, KIND_STATUS, SIDE_NONE, 0, 0, m[11]);
        if (m[0] == 'A' || m[0] == 'F' || m[0] == 'P') {
            const bool buy = m[19] == 'B';
            if (!buy && m[19] != 'S') return nullptr;
        }
        if (instrument == 0) return out;
        switch (m[0]) {
            case 'A':
            case 'F':
                return place(out, m, instrument, KIND_ORDER_ADD, m[19] == 'B' ? SIDE_BUY : SIDE_SELL, read_64(m + 11),
                             read_32(m + 32), read_32(m + 20));
            case 'E':
                return place(out, m, instrument, KIND_ORDER_EXECUTE, SIDE_NONE, read_64(m + 11), 0, read_32(m + 19));
            case 'C':
                out = place(out, m, instrument, KIND_ORDER_EXECUTE, SIDE_NONE, read_64(m + 11), read_32(m + 32),
                            read_32(m + 19));
                // Not printable: the trade is told by another message, that of the cross.
                out[-1].level = m[31] == 'N';
                return out;
            case 'X':
                return place(out, m, instrument, KIND_ORDER_CANCEL, SIDE_NONE, read_64(m + 11), 0, read_32(m + 19));
            case 'D':
                return place(out, m, instrument, KIND_ORDER_CANCEL, SIDE_NONE, read_64(m + 11), 0, 0);
            case 'U':
                out = place(out, m, instrument, KIND_ORDER_CANCEL, SIDE_NONE, read_64(m + 11), 0, 0, 0);
                return place(out, m, instrument, KIND_ORDER_ADD, SIDE_NONE, read_64(m + 19), read_32(m + 31),
                             read_32(m + 27));
            case 'P':
                // The side of a non-displayed order: "B" whatever it was since 2014, so it says nothing of the aggressor.
                return place(out, m, instrument, RECORD_TRADE, SIDE_NONE, read_64(m + 36), read_32(m + 32),
                             read_32(m + 20));
            case 'Q':
                if (m[11] >> 7) return nullptr;
                return place(out, m, instrument, RECORD_TRADE, SIDE_NONE, read_64(m + 31), read_32(m + 27),
                             static_cast<int64_t>(read_64(m + 11)));
            case 'H':
                return place(out, m, instrument, KIND_STATUS, SIDE_NONE, 0, 0, m[19]);
            case 'h':
                return place(out, m, instrument, KIND_STATUS, SIDE_NONE, 0, m[19], m[20]);
            default:
                return out;
        }
    }

    // One message of `size` bytes without its length. NEEDS_INPUT: taken. DIRECTORY: taken, and its symbol is at 11.
    Stop message(const uint8_t* data, size_t size, MarketRecord*& out) {
        if (size == 0) return Stop::WRONG_LENGTH;
        const uint8_t wanted = LENGTHS[data[0]];
        if (wanted != 0) {
            if (size != wanted) return Stop::WRONG_LENGTH;
            MarketRecord* after = write(data, out);
            if (after == nullptr) return Stop::WRONG_FIELD;
            out = after;
        }
        ++counts[data[0]];
        ++sequence;
        return data[0] == 'R' ? Stop::DIRECTORY : Stop::NEEDS_INPUT;
    }

    // Whole frames from `at` on, which moves to the first byte that is not taken.
    Stop frames(const uint8_t*& at, const uint8_t* end, MarketRecord*& out, const MarketRecord* out_end) {
        while (end - at >= 2) {
            if (ended) return Stop::AFTER_END;
            const size_t size = read_16(at);
            if (size == 0) {
                at += 2;
                offset += 2;
                ended = true;
                continue;
            }
            if (static_cast<size_t>(end - at) < size + 2) {
                // A length that lies is told at once where the type is there, and not after 64 KiB more.
                const bool lies = end - at > 2 && LENGTHS[at[2]] != 0 && LENGTHS[at[2]] != size;
                return lies ? Stop::WRONG_LENGTH : Stop::NEEDS_INPUT;
            }
            if (static_cast<size_t>(out_end - out) < MOST_RECORDS) return Stop::NEEDS_ROOM;
            const Stop stop = message(at + 2, size, out);
            if (stop == Stop::WRONG_LENGTH || stop == Stop::WRONG_FIELD) return stop;
            at += size + 2;
            offset += size + 2;
            if (stop == Stop::DIRECTORY) return stop;
        }
        if (ended && at != end) return Stop::AFTER_END;
        return Stop::NEEDS_INPUT;
    }

    // Message blocks of a MoldUDP64 packet, whose lengths were checked before: see blocks_in().
    Stop blocks(const uint8_t*& at, const uint8_t* end, MarketRecord*& out, const MarketRecord* out_end) {
        while (at != end) {
            const size_t size = read_16(at);
            if (static_cast<size_t>(out_end - out) < MOST_RECORDS) return Stop::NEEDS_ROOM;
            const Stop stop = message(at + 2, size, out);
            if (stop == Stop::WRONG_LENGTH || stop == Stop::WRONG_FIELD) return stop;
            at += size + 2;
            offset += size + 2;
            if (stop == Stop::DIRECTORY) return stop;
        }
        return Stop::NEEDS_INPUT;
    }

    // Whole sequenced packets of SoupBinTCP, and server heartbeats, which are passed over. OTHER_PACKET: `at` is at
    // a packet of another type, or at a length that cannot be. A packet that is not whole is waited for: 64 KiB at most.
    Stop packets(const uint8_t*& at, const uint8_t* end, MarketRecord*& out, const MarketRecord* out_end) {
        while (end - at >= 3) {
            const size_t size = read_16(at);
            if (size == 1 && at[2] == 'H') {
                at += 3;
                offset += 3;
                continue;
            }
            if (size == 0 || at[2] != 'S') return Stop::OTHER_PACKET;
            if (static_cast<size_t>(end - at) < size + 2) return Stop::NEEDS_INPUT;
            if (static_cast<size_t>(out_end - out) < MOST_RECORDS) return Stop::NEEDS_ROOM;
            const Stop stop = message(at + 3, size - 1, out);
            if (stop == Stop::WRONG_LENGTH || stop == Stop::WRONG_FIELD) return stop;
            at += size + 2;
            offset += size + 2;
            if (stop == Stop::DIRECTORY) return stop;
        }
        return Stop::NEEDS_INPUT;
    }
};

// How many message blocks (each behind its length) fill the bytes exactly; -1: they do not.
inline ptrdiff_t blocks_in(const uint8_t* at, const uint8_t* end) {
    ptrdiff_t count = 0;
    while (end - at >= 2) {
        const ptrdiff_t size = read_16(at);
        if (end - at - 2 < size) return -1;
        at += size + 2;
        ++count;
    }
    return at == end ? count : -1;
}

}  // namespace tradewind::itch

#endif
