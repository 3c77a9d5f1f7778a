/* The bare limit of the depth bench: one hand-written pass over one depth frame of Binance, whose form it takes for granted
 * (keys in the venue's order, decimals with a point, no white space). It checks nothing that it does not need. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tradewind_native/market_record.h"

static const char* decimal(const char* p, int precision, int64_t* out) {
    int64_t value = 0;
    int decimals = -1;
    for (; *p != '"'; ++p) {
        if (*p == '.') {
            decimals = 0;
        } else if (decimals < precision) {
            value = value * 10 + (*p - '0');
            decimals += decimals >= 0;
        }
    }
    for (decimals = decimals < 0 ? 0 : decimals; decimals < precision; ++decimals) value *= 10;
    *out = value;
    return p;
}

static const char* number(const char* p, uint64_t* out) {
    uint64_t value = 0;
    for (; *p >= '0' && *p <= '9'; ++p) value = value * 10 + (uint64_t)(*p - '0');
    *out = value;
    return p;
}

static const char* side(const char* p, MarketRecord record, uint8_t which, MarketRecord** out) {
    record.side = which;
    while (*p == '[') {
        p = decimal(p + 2, 2, &record.price) + 3;
        p = decimal(p, 8, &record.size) + 2;
        *(*out)++ = record;
        p += *p == ',';
    }
    return p;
}

/* {"stream":"…","data":{"e":"depthUpdate","E":…,"s":"…","U":…,"u":…,"b":[…],"a":[…]}}: how many records it makes. */
size_t depth_bare(const char* frame, int64_t ts_recv, MarketRecord* out) {
    MarketRecord record = {0, ts_recv, 0, 0, 0, 0, 1, RECORD_LEVEL, 0, 0, 0, 0};
    MarketRecord* at = out;
    uint64_t ms = 0, first = 0, final = 0;
    const char* p = number(strstr(frame, "\"E\":") + 4, &ms);
    p = number(strstr(p, "\"U\":") + 4, &first);
    p = number(p + 5, &final);
    record.ts_event = (int64_t)ms * 1000000;
    record.sequence = final;
    record.order_id = first;
    p = side(p + 6, record, SIDE_BUY, &at);
    side(p + 7, record, SIDE_SELL, &at);
    if (at != out) at[-1].flags |= FLAG_LAST;
    return (size_t)(at - out);
}
