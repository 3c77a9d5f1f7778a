/* The 64-byte market record: the C side of tradewind.wire.market_records.MARKET_RECORD. */
#ifndef TRADEWIND_MARKET_RECORD_H
#define TRADEWIND_MARKET_RECORD_H

#include <stdint.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "market records are little-endian and read in place: this platform is not supported"
#endif

typedef struct {
    int64_t ts_event;
    int64_t ts_recv;
    int64_t price;
    int64_t size;
    uint64_t order_id;
    uint64_t sequence;
    uint32_t instrument;
    uint8_t kind;
    uint8_t side;
    uint8_t flags;
    uint8_t level;
    uint64_t reserved;
} MarketRecord;

#ifdef __cplusplus
static_assert(sizeof(MarketRecord) == 64, "a market record is 64 bytes");
#else
_Static_assert(sizeof(MarketRecord) == 64, "a market record is 64 bytes");
#endif

enum {
    RECORD_TRADE = 1,
    RECORD_TOP_OF_BOOK = 2,
    RECORD_LEVEL = 3,
    RECORD_CLEAR = 8
};

enum {
    SIDE_NONE = 0,
    SIDE_BUY = 1,
    SIDE_SELL = 2
};

enum {
    FLAG_LAST = 1,
    FLAG_SNAPSHOT = 2
};

#endif
