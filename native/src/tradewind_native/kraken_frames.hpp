// Kraken v1 public channels: book-N, trade, spread.
//
// Fields and meaning: Kraken WebSocket API v1, "book", "trade", "spread".
#ifndef TRADEWIND_KRAKEN_FRAMES_HPP
#define TRADEWIND_KRAKEN_FRAMES_HPP

#include "tradewind_native/book_frames.hpp"

namespace tradewind {

class KrakenFrames : public BookFrames {
   protected:
    int judge(const char* frame, size_t length) override {
        Element root;
        Object object;
        Array message;
        if (!parse(frame, length, root)) return MALFORMED;
        if (root.get_object().get(object) == simdjson::SUCCESS) {
            if (object.at_key("event").error() == simdjson::SUCCESS) return finish(CONTROL);
            return malformed("an object without event");
        }
        if (root.get_array().get(message)) return malformed("it is neither an object nor an array");
        const size_t parts = message.size();
        // Number of the channel, one payload or two, name of the channel, pair.
        if (parts < 4 || parts > 5) return malformed("it does not have four or five parts");
        std::string_view channel, symbol;
        if (message.at(parts - 2).get_string().get(channel) || message.at(parts - 1).get_string().get(symbol)) {
            return malformed("its last two parts are not strings");
        }
        const bool is_book = channel.substr(0, 5) == "book-";
        if (!is_book && channel != "trade" && channel != "spread") return unknown("channel", channel);
        if (!find_instrument(symbol)) return unknown("pair", symbol);
        if (is_book) return read_book(message, parts - 2);
        Array payload;
        if (message.at(1).get_array().get(payload)) return malformed("its payload is not an array");
        return channel == "trade" ? read_trades(payload) : read_spread(payload);
    }

   private:
    int read_book(const Array& message, size_t end) {
        bool is_snapshot = false, is_update = false;
        int64_t latest = 0;
        const MarketRecord record = blank(RECORD_LEVEL, 0, 0, 0);
        for (size_t index = 1; index < end; ++index) {
            Object payload;
            if (message.at(index).get_object().get(payload)) return malformed("a payload is not an object");
            for (simdjson::dom::key_value_pair field : payload) {
                if (field.key == "c") {
                    if (!read_checksum(field.value)) return MALFORMED;
                    continue;
                }
                const bool whole = field.key == "as" || field.key == "bs";
                if (!whole && field.key != "a" && field.key != "b") continue;
                (whole ? is_snapshot : is_update) = true;
                if (is_snapshot && is_update) return malformed("it is a snapshot and an update at once");
                if (whole && records_.empty()) records_.push_back(record);
                Array levels;
                if (field.value.get_array().get(levels)) return malformed("its levels are not an array");
                const uint8_t side = field.key[0] == 'b' ? SIDE_BUY : SIDE_SELL;
                const auto timed = [&](int place, Element part) { return place != 2 || later(part, latest); };
                if (!append_side(levels, record, side, whole, timed)) return MALFORMED;
            }
        }
        if (!is_snapshot && !is_update) return malformed("it has no levels");
        if (is_snapshot) records_.front().kind = RECORD_CLEAR;
        if (records_.empty()) records_.push_back(record);
        for (MarketRecord& one : records_) {
            one.ts_event = latest ? latest : ts_recv_;
            if (is_snapshot) one.flags = FLAG_SNAPSHOT;
        }
        return finish(is_snapshot ? SNAPSHOT : DEPTH);
    }

    bool read_checksum(Element element) {
        std::string_view text;
        uint64_t value = 0;
        if (element.get_string().get(text)) return fail("its checksum is not a string");
        if (!unsigned_text(text, "its checksum", value)) return false;
        if (value > std::numeric_limits<uint32_t>::max()) return fail("its checksum does not fit 32 bits");
        has_checksum = true;
        checksum = static_cast<int64_t>(value);
        return true;
    }

    bool time(Element element, int64_t& ns) { return decimal(element, NS_DIGITS, false, "a time", ns); }

    bool later(Element element, int64_t& latest) {
        int64_t ns = 0;
        if (!time(element, ns)) return false;
        latest = std::max(latest, ns);
        return true;
    }

    int read_trades(const Array& trades) {
        for (Element one : trades) {
            Array trade;
            if (one.get_array().get(trade) || trade.size() < 4) return malformed("a trade does not have four parts");
            std::string_view price_text, size_text, side;
            MarketRecord record = blank(RECORD_TRADE, 0, 0, 0);
            if (trade.at(0).get_string().get(price_text) || trade.at(1).get_string().get(size_text) ||
                trade.at(3).get_string().get(side)) {
                return malformed("a part of a trade is not a string");
            }
            Element when;
            if (trade.at(2).get(when) || !time(when, record.ts_event)) return MALFORMED;
            if (!price(price_text, record.price) || !size(size_text, record.size)) return MALFORMED;
            if (side != "b" && side != "s") return malformed("a trade's side is neither b nor s");
            record.side = side == "b" ? SIDE_BUY : SIDE_SELL;
            if (records_.size() > MAX_LEVELS) return malformed("it has more than 50,000 trades");
            records_.push_back(record);
        }
        return finish(TRADE);
    }

    // bid, ask, time, bid volume, ask volume.
    int read_spread(const Array& parts) {
        if (parts.size() < 5) return malformed("a spread does not have five parts");
        std::string_view texts[5];
        for (size_t index = 0; index < 5; ++index) {
            if (parts.at(index).get_string().get(texts[index])) return malformed("a part of a spread is not a string");
        }
        MarketRecord record = blank(RECORD_TOP_OF_BOOK, 0, 0, 0);
        if (!decimal(texts[2], NS_DIGITS, false, "a time", record.ts_event)) return MALFORMED;
        for (const uint8_t side : {SIDE_BUY, SIDE_SELL}) {
            const size_t place = side == SIDE_BUY ? 0 : 1;
            record.side = side;
            if (!price(texts[place], record.price) || !size(texts[place + 3], record.size)) return MALFORMED;
            records_.push_back(record);
        }
        return finish(TICKER);
    }
};

}  // namespace tradewind

#endif
