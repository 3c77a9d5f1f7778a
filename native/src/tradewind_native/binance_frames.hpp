// Binance spot frames to market records. Wrapped by binance.pyx.
//
// Fields and meaning: Binance spot API, "WebSocket Streams" (trade, bookTicker, diff. depth) and "Order book" (REST).
//
// A frame takes two steps: it is gathered and judged, which tells how many records it makes, and then converted into
// memory that the caller provides.
#ifndef TRADEWIND_BINANCE_FRAMES_HPP
#define TRADEWIND_BINANCE_FRAMES_HPP

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tradewind_native/binance_tokens.hpp"
#include "tradewind_native/frame_verdicts.hpp"
#include "tradewind_native/json_numbers.hpp"
#include "tradewind_native/market_record.h"

namespace tradewind {

constexpr uint32_t DEPTH_FIELDS = bit(F_e) | bit(F_E) | bit(F_s) | bit(F_U) | bit(F_u) | bit(F_b) | bit(F_a);
constexpr uint32_t TRADE_FIELDS =
    bit(F_e) | bit(F_E) | bit(F_s) | bit(F_t) | bit(F_p) | bit(F_q) | bit(F_T) | bit(F_m);
constexpr uint32_t TICKER_FIELDS = bit(F_u) | bit(F_s) | bit(F_b) | bit(F_B) | bit(F_a) | bit(F_A);
constexpr uint32_t SNAPSHOT_FIELDS = bit(F_u) | bit(F_b) | bit(F_a);

class FrameDecoder : private FrameReader {
   public:
    void add_instrument(const char* symbol, size_t length, Instrument instrument) {
        symbols_.emplace_back(symbol, length);
        instruments_[symbols_.back()] = instrument;
    }

    bool knows(const char* symbol, size_t length) const { return instruments_.count({symbol, length}) != 0; }

    // First step of a frame: DECODED when `record_count()` records can be asked for.
    int read_frame(const char* frame, size_t length) {
        snapshot_keys_ = false;
        if (!parse(frame, length)) return MALFORMED;
        return classify();
    }

    // First step of a REST depth answer of `symbol`.
    int read_snapshot(const char* body, size_t length, const char* symbol, size_t symbol_length) {
        snapshot_keys_ = true;
        if (!parse(body, length)) return MALFORMED;
        event_ = &outer_;
        kind_ = SNAPSHOT;
        if (!require(SNAPSHOT_FIELDS, "depth snapshot")) return MALFORMED;
        return find_instrument({symbol, symbol_length});
    }

    size_t record_count() const {
        switch (kind_) {
            case CONTROL: return 0;
            case DEPTH: return std::max<size_t>(1, level_count());
            case TICKER: return 2;
            case TRADE: return 1;
            default: return 1 + level_count();
        }
    }

    // Second step: writes the records. What was written means nothing unless it answers DECODED.
    int write_records(MarketRecord* out, int64_t ts_recv) {
        bool exact = true;
        switch (kind_) {
            case CONTROL: first_update_id = final_update_id = 0; break;
            case DEPTH: exact = write_depth(out, ts_recv); break;
            case TICKER: exact = write_ticker(out, ts_recv); break;
            case TRADE: exact = write_trade(out, ts_recv); break;
            default: exact = write_snapshot(out, ts_recv); break;
        }
        if (!exact) return MALFORMED;
        instrument = kind_ == CONTROL ? 0 : instrument_.number;
        return DECODED;
    }

    int kind() const { return kind_; }
    const std::string& reason() const { return reason_; }

    uint64_t first_update_id = 0;
    uint64_t final_update_id = 0;
    uint32_t instrument = 0;

   private:
    size_t level_count() const { return event_->bids.tokens.size() + event_->asks.tokens.size(); }

    // --- judging ----------------------------------------------------------------------------------------------------

    int classify() {
        event_ = wrapped_ ? &inner_ : &outer_;
        if (wrapped_ && !wrapped_well_) return malformed("its data is not an object");
        if (event_->has(F_e)) return classify_named();
        if (event_->has(F_u)) {
            kind_ = TICKER;
            return accept(TICKER_FIELDS, "book ticker");
        }
        if (!check_others(0)) return MALFORMED;
        if (event_->answers_request) {
            kind_ = CONTROL;
            return DECODED;
        }
        fail("an object without event type");
        return UNKNOWN;
    }

    int classify_named() {
        const char* token = event_->token[F_e];
        std::string_view name;
        if (*token != '"') {
            if (!check_others(0)) return MALFORMED;
            return malformed("its event type is not a string");
        }
        if (!text(token, name)) return MALFORMED;
        if (name == "depthUpdate") {
            kind_ = DEPTH;
            return accept(DEPTH_FIELDS, "depthUpdate");
        }
        if (name == "trade") {
            kind_ = TRADE;
            return accept(TRADE_FIELDS, "trade");
        }
        if (!check_others(bit(F_e))) return MALFORMED;
        fail("event type '" + std::string(name.substr(0, 40)) + "'");
        return UNKNOWN;
    }

    int malformed(const char* reason) {
        fail(reason);
        return MALFORMED;
    }

    int accept(uint32_t fields, const char* what) {
        if (!require(fields, what)) return MALFORMED;
        std::string_view symbol;
        if (*event_->token[F_s] != '"') return malformed("its symbol is not a string");
        if (!text(event_->token[F_s], symbol)) return MALFORMED;
        return find_instrument(symbol);
    }

    bool require(uint32_t fields, const char* what) {
        if ((event_->present & fields) != fields) return fail(std::string("a field of a ") + what + " is missing");
        const bool any_others = (outer_.present | inner_.present) != (event_->present & fields) ||
                                (wrapped_ && outer_.present != 0);
        return !any_others || check_others(fields);
    }

    int find_instrument(std::string_view symbol) {
        if (symbol != symbol_) {
            const auto found = instruments_.find(symbol);
            if (found == instruments_.end()) {
                if (!check_others(0)) return MALFORMED;
                fail("symbol '" + std::string(symbol.substr(0, 40)) + "'");
                return UNKNOWN;
            }
            symbol_ = found->first;
            instrument_ = found->second;
        }
        return DECODED;
    }

    // --- converting -------------------------------------------------------------------------------------------------

    bool decimal(const char* token, int precision, bool sign_allowed, const char* what, int64_t& out) {
        if (*token == '"' && parse_eight_decimals(token + 1, '"', precision, out)) return true;
        return any_decimal(token, precision, sign_allowed, what, out);
    }

    // Kept out of line so that the loops over levels stay small.
    __attribute__((noinline)) bool any_decimal(
        const char* token, int precision, bool sign_allowed, const char* what, int64_t& out) {
        if (*token != '"') return fail(std::string(what) + " is not a string");
        Number result = parse_decimal(token + 1, '"', precision, sign_allowed, out);
        if (result == Number::EXACT) return true;
        std::string_view plain;
        if (!text(token, plain)) return false;
        // An escaped digit is still a digit; anything else in escapes is not.
        if (!unescaped_.empty() && plain.find_first_not_of("0123456789.-") == std::string_view::npos) {
            result = parse_decimal((std::string(plain) + '"').c_str(), '"', precision, sign_allowed, out);
        }
        return result == Number::EXACT ||
               fail(std::string(what) + " '" + std::string(plain.substr(0, 40)) + "' " + explain(result));
    }

    bool price(const char* token, int64_t& out) {
        return decimal(token, instrument_.price_precision, true, "a price", out);
    }

    bool size(const char* token, int64_t& out) {
        return decimal(token, instrument_.size_precision, false, "a size", out);
    }

    bool number(Field field, const char* what, uint64_t& out) {
        const Number result = parse_unsigned(event_->token[field], out);
        return result == Number::EXACT || fail(std::string(what) + " " + explain(result));
    }

    bool time(Field field, const char* what, int64_t& ns) {
        uint64_t ms = 0;
        if (!number(field, what, ms)) return false;
        if (ms > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) / NS_PER_MS) {
            return fail(std::string(what) + " is past the year 2262");
        }
        ns = static_cast<int64_t>(ms * NS_PER_MS);
        return true;
    }

    MarketRecord blank(uint8_t kind, int64_t ts_event, int64_t ts_recv, uint64_t order_id, uint64_t sequence) const {
        return {ts_event, ts_recv, 0, 0, order_id, sequence, instrument_.number, kind, SIDE_NONE, 0, 0, 0};
    }

    // Writes the levels of one side; advances `out`.
    bool write_levels(MarketRecord*& out, MarketRecord record, const Levels& levels, uint8_t side, bool numbered) {
        record.side = side;
        size_t index = 0;
        for (const LevelTokens& level : levels.tokens) {
            // The parts are stored one by one: a wide copy of fields just written would wait for each of them.
            int64_t level_price = 0, level_size = 0;
            if (!price(level.price, level_price) || !size(level.size, level_size)) return false;
            *out = record;
            out->price = level_price;
            out->size = level_size;
            if (numbered) out->level = static_cast<uint8_t>(std::min<size_t>(index++, 255));
            ++out;
        }
        return true;
    }

    bool levels_well_formed() {
        const bool arrays = *event_->token[F_b] == '[' && *event_->token[F_a] == '[';
        return (arrays && event_->bids.well_formed && event_->asks.well_formed) ||
               fail("its levels are not pairs of strings");
    }

    bool write_depth(MarketRecord* out, int64_t ts_recv) {
        int64_t ts_event = 0;
        uint64_t first = 0, final = 0;
        if (!levels_well_formed() || !time(F_E, "the event time", ts_event)) return false;
        if (!number(F_U, "the first update id", first) || !number(F_u, "the final update id", final)) return false;
        const MarketRecord record = blank(RECORD_LEVEL, ts_event, ts_recv, first, final);
        MarketRecord* end = out;
        if (level_count() == 0) *end++ = record;
        if (!write_levels(end, record, event_->bids, SIDE_BUY, false)) return false;
        if (!write_levels(end, record, event_->asks, SIDE_SELL, false)) return false;
        end[-1].flags = FLAG_LAST;
        latest_venue_time_ = std::max(latest_venue_time_, ts_event);
        first_update_id = first;
        final_update_id = final;
        return true;
    }

    bool write_ticker(MarketRecord* out, int64_t ts_recv) {
        uint64_t update = 0;
        if (!number(F_u, "the update id", update)) return false;
        const int64_t ts_event = undated(ts_recv);
        out[0] = blank(RECORD_TOP_OF_BOOK, ts_event, ts_recv, 0, update);
        out[1] = blank(RECORD_TOP_OF_BOOK, ts_event, ts_recv, 0, update);
        if (!price(event_->token[F_b], out[0].price) || !size(event_->token[F_B], out[0].size)) return false;
        if (!price(event_->token[F_a], out[1].price) || !size(event_->token[F_A], out[1].size)) return false;
        out[0].side = SIDE_BUY;
        out[1].side = SIDE_SELL;
        out[1].flags = FLAG_LAST;
        first_update_id = final_update_id = update;
        return true;
    }

    bool write_trade(MarketRecord* out, int64_t ts_recv) {
        int64_t event_time = 0, trade_time = 0;
        uint64_t id = 0;
        bool buyer_is_maker = false;
        if (!time(F_E, "the event time", event_time) || !time(F_T, "the trade time", trade_time)) return false;
        if (!number(F_t, "the trade id", id)) return false;
        if (!parse_bool(event_->token[F_m], buyer_is_maker)) return fail("m is not true or false");
        *out = blank(RECORD_TRADE, trade_time, ts_recv, id, id);
        if (!price(event_->token[F_p], out->price) || !size(event_->token[F_q], out->size)) return false;
        out->side = buyer_is_maker ? SIDE_SELL : SIDE_BUY;
        out->flags = FLAG_LAST;
        latest_venue_time_ = std::max({latest_venue_time_, event_time, trade_time});
        first_update_id = final_update_id = id;
        return true;
    }

    bool write_snapshot(MarketRecord* out, int64_t ts_recv) {
        uint64_t update = 0;
        if (!levels_well_formed() || !number(F_u, "lastUpdateId", update)) return false;
        MarketRecord record = blank(RECORD_CLEAR, undated(ts_recv), ts_recv, update, update);
        record.flags = FLAG_SNAPSHOT;
        MarketRecord* end = out;
        *end++ = record;
        record.kind = RECORD_LEVEL;
        if (!write_levels(end, record, event_->bids, SIDE_BUY, true)) return false;
        if (!write_levels(end, record, event_->asks, SIDE_SELL, true)) return false;
        end[-1].flags = FLAG_SNAPSHOT | FLAG_LAST;
        first_update_id = final_update_id = update;
        return true;
    }

    // The time of what the venue does not date: its latest time that we know, else our own.
    int64_t undated(int64_t ts_recv) const { return latest_venue_time_ ? latest_venue_time_ : ts_recv; }

    std::deque<std::string> symbols_;  // a deque does not move what the views in instruments_ point at
    std::unordered_map<std::string_view, Instrument> instruments_;
    int kind_ = CONTROL;
    std::string_view symbol_;
    Instrument instrument_{};
    int64_t latest_venue_time_ = 0;
};

}  // namespace tradewind

#endif
