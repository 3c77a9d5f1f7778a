// OKX v5 public channels: books (and books5, books-l2-tbt, books50-l2-tbt), bbo-tbt, trades, tickers.
//
// Fields and meaning: OKX API guide v5, "Order book channel", "Trades channel", "Tickers channel".
#ifndef TRADEWIND_OKX_FRAMES_HPP
#define TRADEWIND_OKX_FRAMES_HPP

#include "tradewind_native/book_frames.hpp"

namespace tradewind {

class OkxFrames : public BookFrames {
   protected:
    int judge(const char* frame, size_t length) override {
        if (std::string_view(frame, length) == "pong") return finish(CONTROL);
        Element root;
        Object message, argument;
        if (!parse(frame, length, root)) return MALFORMED;
        if (root.get_object().get(message)) return malformed("it is not a JSON object");
        if (message.at_key("event").error() == simdjson::SUCCESS) return finish(CONTROL);
        std::string_view channel, symbol;
        if (message.at_key("arg").get_object().get(argument) || !text_at(argument, "channel", channel)) {
            return malformed("its channel is missing");
        }
        const bool is_book = channel.substr(0, 5) == "books", is_best = channel == "bbo-tbt";
        if (!is_book && !is_best && channel != "trades" && channel != "tickers") return unknown("channel", channel);
        if (!text_at(argument, "instId", symbol)) return malformed("its instrument is missing");
        if (!find_instrument(symbol)) return unknown("instrument", symbol);
        Array data;
        if (message.at_key("data").get_array().get(data)) return malformed("its data is not an array");
        if (channel == "trades") return read_trades(data);
        Object only;
        size_t count = 0;
        for (Element one : data) {
            if (one.get_object().get(only)) return malformed("its data does not hold an object");
            ++count;
        }
        if (count != 1) return malformed("its data does not hold one object");
        if (channel == "tickers") return read_ticker(only);
        return is_best ? read_best(only) : read_book(message, only, channel == "books5");
    }

   private:
    static bool ignore(int, Element) { return true; }

    bool time(const Object& data, int64_t& ns) {
        std::string_view text;
        uint64_t ms = 0;
        if (!text_at(data, "ts", text)) return fail("its time is missing");
        if (!unsigned_text(text, "its time", ms)) return false;
        if (ms > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / NS_PER_MS) {
            return fail("its time is past the year 2262");
        }
        ns = static_cast<int64_t>(ms * NS_PER_MS);
        return true;
    }

    bool sides(const Object& data, Array& bids, Array& asks) {
        if (data.at_key("bids").get_array().get(bids) || data.at_key("asks").get_array().get(asks)) {
            return fail("its bids or asks are not an array");
        }
        return true;
    }

    // Fields that not every channel and not every age of the API has.
    bool optional(const Object& data, const char* key, bool& has, int64_t& out) {
        Element element;
        has = data.at_key(key).get(element) == simdjson::SUCCESS;
        return !has || element.get_int64().get(out) == simdjson::SUCCESS ||
               fail(std::string(key) + " is not a whole number");
    }

    int read_book(const Object& message, const Object& data, bool always_whole) {
        std::string_view action = "snapshot";
        if (!text_at(message, "action", action) && !always_whole) return malformed("its action is missing");
        const bool is_snapshot = action == "snapshot";
        if (!is_snapshot && action != "update") return malformed("its action is neither snapshot nor update");
        int64_t ts_event = 0;
        Array bids, asks;
        if (!time(data, ts_event) || !sides(data, bids, asks)) return MALFORMED;
        if (!optional(data, "checksum", has_checksum, checksum) || !optional(data, "seqId", has_sequence, sequence) ||
            !optional(data, "prevSeqId", has_previous, previous)) {
            return MALFORMED;
        }
        const uint64_t number = has_sequence && sequence > 0 ? static_cast<uint64_t>(sequence) : 0;
        MarketRecord record = blank(RECORD_LEVEL, ts_event, number, number);
        if (is_snapshot) {
            record.flags = FLAG_SNAPSHOT;
            MarketRecord clear = record;
            clear.kind = RECORD_CLEAR;
            records_.push_back(clear);
        }
        if (!append_side(bids, record, SIDE_BUY, is_snapshot, ignore)) return MALFORMED;
        if (!append_side(asks, record, SIDE_SELL, is_snapshot, ignore)) return MALFORMED;
        if (records_.empty()) records_.push_back(record);
        return finish(is_snapshot ? SNAPSHOT : DEPTH);
    }

    int read_best(const Object& data) {
        int64_t ts_event = 0;
        Array bids, asks;
        if (!time(data, ts_event) || !sides(data, bids, asks)) return MALFORMED;
        if (!optional(data, "seqId", has_sequence, sequence)) return MALFORMED;
        const uint64_t number = has_sequence && sequence > 0 ? static_cast<uint64_t>(sequence) : 0;
        const MarketRecord record = blank(RECORD_TOP_OF_BOOK, ts_event, 0, number);
        if (!append_side(bids, record, SIDE_BUY, false, ignore)) return MALFORMED;
        if (!append_side(asks, record, SIDE_SELL, false, ignore)) return MALFORMED;
        return finish(TICKER);
    }

    int read_ticker(const Object& data) {
        int64_t ts_event = 0;
        if (!time(data, ts_event)) return MALFORMED;
        const MarketRecord record = blank(RECORD_TOP_OF_BOOK, ts_event, 0, 0);
        if (!append_best(data, "bidPx", "bidSz", record, SIDE_BUY)) return MALFORMED;
        if (!append_best(data, "askPx", "askSz", record, SIDE_SELL)) return MALFORMED;
        return finish(TICKER);
    }

    // A side without orders has empty texts, and makes no record.
    bool append_best(const Object& data, const char* price_key, const char* size_key, MarketRecord record, uint8_t side) {
        std::string_view price_text, size_text;
        if (!text_at(data, price_key, price_text) || !text_at(data, size_key, size_text)) {
            return fail("a price or size of a ticker is missing");
        }
        if (price_text.empty()) return true;
        record.side = side;
        if (!price(price_text, record.price) || !size(size_text, record.size)) return false;
        records_.push_back(record);
        return true;
    }

    int read_trades(const Array& data) {
        for (Element one : data) {
            Object trade;
            if (one.get_object().get(trade) || !append_trade(trade)) {
                return reason().empty() ? malformed("a trade is not an object") : MALFORMED;
            }
            if (records_.size() > MAX_LEVELS) return malformed("it has more than 50,000 trades");
        }
        return finish(TRADE);
    }

    bool append_trade(const Object& trade) {
        int64_t ts_event = 0;
        uint64_t id = 0;
        std::string_view id_text, price_text, size_text, side;
        if (!text_at(trade, "tradeId", id_text) || !text_at(trade, "px", price_text) ||
            !text_at(trade, "sz", size_text) || !text_at(trade, "side", side)) {
            return fail("a field of a trade is missing");
        }
        if (!time(trade, ts_event) || !unsigned_text(id_text, "a trade's id", id)) return false;
        MarketRecord record = blank(RECORD_TRADE, ts_event, id, id);
        if (!price(price_text, record.price) || !size(size_text, record.size)) return false;
        if (side != "buy" && side != "sell") return fail("a trade's side is neither buy nor sell");
        record.side = side == "buy" ? SIDE_BUY : SIDE_SELL;
        records_.push_back(record);
        return true;
    }
};

}  // namespace tradewind

#endif
