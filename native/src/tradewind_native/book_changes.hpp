// What order records (L3) mean for who follows price levels: trades, new level sizes and new best prices.
#ifndef TRADEWIND_BOOK_CHANGES_HPP
#define TRADEWIND_BOOK_CHANGES_HPP

#include <cstdint>
#include <unordered_map>

#include "tradewind_native/order_table.hpp"

namespace tradewind {

// An order record is followed by at most a trade, two levels and the best prices of three instruments.
constexpr size_t MOST_CHANGES = 10;

struct BestPrices {
    int64_t price[2];
    int64_t size[2];  // 0: that side is empty
    bool operator==(const BestPrices& other) const {
        return price[0] == other.price[0] && price[1] == other.price[1] && size[0] == other.size[0] &&
               size[1] == other.size[1];
    }
};

class BookChanges {
public:
    bool levels = true;

    // Apply a record and write it with what it makes; `out` moves behind the last. There must be room for MOST_CHANGES.
    Refusal follow(OrderBooks& books, const MarketRecord& record, MarketRecord*& out) {
        const bool adds = record.kind == 4;
        if (!adds && record.kind != 6 && record.kind != 7) {
            if (record.kind == RECORD_CLEAR) quoted_.erase(record.instrument);
            *out++ = record;
            return books.apply(record);
        }
        Place old{};
        if (const RestingOrder* order = books.find(record.order_id)) {
            old = Place{books.instrument_of(*order), order->side, order->price};
        }
        const Refusal refusal = books.apply(record);
        if (refusal != Refusal::NONE) return refusal;
        *out++ = record;
        if (record.kind == 7 && record.level == 0 && old.side != SIDE_NONE) trade(record, old, out);
        if (!levels) return refusal;
        Place places[2];
        size_t count = 0;
        const RestingOrder* order = adds ? books.find(record.order_id) : nullptr;
        const Place added = order ? Place{books.instrument_of(*order), order->side, order->price} : Place{};
        // An order that is added again leaves its level, whatever becomes of it.
        if (old.side != SIDE_NONE && !(order && old == added)) places[count++] = old;
        if (order) places[count++] = added;
        tell(books, record, places, count, out);
        return refusal;
    }

private:
    struct Place {
        uint32_t instrument;
        uint8_t side;
        int64_t price;
        bool operator==(const Place& other) const {
            return instrument == other.instrument && side == other.side && price == other.price;
        }
    };

    void tell(OrderBooks& books, const MarketRecord& record, const Place* places, size_t count, MarketRecord*& out) {
        const bool ends = record.flags & FLAG_LAST;
        for (size_t index = 0; index < count; ++index) {
            const bool again = index + 1 < count && places[index + 1].instrument == places[index].instrument;
            level(books, record, places[index], ends && !again, out);
        }
        if (!ends) {
            // The first half of a replacement: its best prices are told with the second.
            begun_ = count != 0;
            if (begun_) begun_instrument_ = places[0].instrument;
            return;
        }
        for (size_t index = 0; index < count; ++index) {
            const bool again = index + 1 < count && places[index + 1].instrument == places[index].instrument;
            if (!again) best_prices(books, record, places[index].instrument, out);
            if (places[index].instrument == begun_instrument_) begun_ = false;
        }
        if (begun_) best_prices(books, record, begun_instrument_, out);
        begun_ = false;
    }

    static MarketRecord made(const MarketRecord& record, uint32_t instrument, uint8_t kind, uint8_t side, int64_t price,
                             int64_t size, bool last) {
        return MarketRecord{record.ts_event, record.ts_recv, price, size, record.sequence, record.sequence, instrument,
                            kind, side, static_cast<uint8_t>(last ? FLAG_LAST : 0), 0, 0};
    }

    static void trade(const MarketRecord& record, const Place& at, MarketRecord*& out) {
        const uint8_t aggressor = at.side == SIDE_BUY ? SIDE_SELL : SIDE_BUY;
        const int64_t price = record.price != 0 ? record.price : at.price;
        *out++ = made(record, at.instrument, RECORD_TRADE, aggressor, price, record.size, true);
    }

    static void level(OrderBooks& books, const MarketRecord& record, const Place& at, bool last, MarketRecord*& out) {
        const std::vector<OrderLevel>& levels = books.sides(at.instrument)->of(at.side);
        const int64_t key = key_of(at.side, at.price);
        const size_t index = first_not_below(levels, key);
        const int64_t size = has_key(levels, index, key) ? levels[index].size : 0;
        *out++ = made(record, at.instrument, RECORD_LEVEL, at.side, at.price, size, last);
    }

    // Only where both sides have a price: one alone is told by the levels.
    void best_prices(OrderBooks& books, const MarketRecord& record, uint32_t instrument, MarketRecord*& out) {
        LevelSides* sides = books.sides(instrument);
        BestPrices now{};
        for (uint8_t side = SIDE_BUY; side <= SIDE_SELL; ++side) {
            const std::vector<OrderLevel>& levels = sides->of(side);
            if (levels.empty()) continue;
            now.price[side - 1] = key_of(side, levels.back().key);
            now.size[side - 1] = levels.back().size;
        }
        BestPrices& before = quoted_[instrument];
        if (now == before) return;
        before = now;
        if (now.size[0] == 0 || now.size[1] == 0) return;
        *out++ = made(record, instrument, RECORD_TOP_OF_BOOK, SIDE_BUY, now.price[0], now.size[0], false);
        *out++ = made(record, instrument, RECORD_TOP_OF_BOOK, SIDE_SELL, now.price[1], now.size[1], true);
    }

    std::unordered_map<uint32_t, BestPrices> quoted_;
    bool begun_ = false;
    uint32_t begun_instrument_ = 0;
};

}  // namespace tradewind

#endif
