/* The limit that the ITCH decoder is measured against: the same records from the same bytes, with no check at all. */
#include <stddef.h>
#include <string.h>

#include "tradewind_native/market_record.h"

#define U16(at) ((uint16_t)((at)[0] << 8 | (at)[1]))

static inline uint32_t u32(const uint8_t* at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}

static inline uint64_t u64(const uint8_t* at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return __builtin_bswap64(value);
}

size_t itch_bare(const uint8_t* data, size_t size, const uint32_t* instruments, MarketRecord* out) {
    const uint8_t* end = data + size;
    MarketRecord* first = out;
    uint64_t sequence = 0;
    for (; data < end; data += 2 + U16(data)) {
        const uint8_t* m = data + 2;
        MarketRecord record = {0};
        record.ts_event = record.ts_recv = (int64_t)(u64(m + 3) & 0xFFFFFFFFFFFFull);
        record.instrument = instruments[U16(m + 1)];
        record.sequence = ++sequence;
        record.flags = FLAG_LAST;
        record.order_id = u64(m + 11);
        switch (m[0]) {
            case 'A':
            case 'F':
                record.kind = 4;
                record.side = m[19] == 'B' ? SIDE_BUY : SIDE_SELL;
                record.price = u32(m + 32);
                record.size = u32(m + 20);
                break;
            case 'E':
                record.kind = 7;
                record.size = u32(m + 19);
                break;
            case 'X':
                record.kind = 6;
                record.size = u32(m + 19);
                break;
            case 'D':
                record.kind = 6;
                break;
            case 'U':
                record.kind = 6;
                record.flags = 0;
                *out++ = record;
                record.kind = 4;
                record.flags = FLAG_LAST;
                record.order_id = u64(m + 19);
                record.price = u32(m + 31);
                record.size = u32(m + 27);
                break;
            case 'P':
                record.kind = RECORD_TRADE;
                record.order_id = u64(m + 36);
                record.price = u32(m + 32);
                record.size = u32(m + 20);
                break;
            case 'H':
                record.kind = 9;
                record.order_id = 0;
                record.size = m[19];
                break;
            case 'S':
                record.kind = 9;
                record.order_id = 0;
                record.instrument = 0;
                record.size = m[11];
                break;
            default:
                continue;
        }
        *out++ = record;
    }
    return (size_t)(out - first);
}
