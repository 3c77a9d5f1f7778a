// FIX market data: MarketDataSnapshotFullRefresh (W) and MarketDataIncrementalRefresh (X), versions 4.2 and 4.4.
//
// Fields and meaning: FIX 4.4, volume 3, "Market Data". One pass; an entry's numbers are read when the entry ends, because
// its symbol may stand behind them.
#ifndef TRADEWIND_FIX_MARKET_FRAMES_HPP
#define TRADEWIND_FIX_MARKET_FRAMES_HPP

#include "tradewind_native/book_frames.hpp"
#include "tradewind_native/fix_messages.hpp"

namespace tradewind {

constexpr int64_t NS_PER_S = 1'000'000'000;

// `count` digits at `p`; negative when one is none.
inline int64_t fix_digits(const char* p, int count) {
    int64_t value = 0;
    for (int index = 0; index < count; ++index) {
        if (!is_digit(p[index])) return -1;
        value = value * 10 + (p[index] - '0');
    }
    return value;
}

// Days since 1970 of YYYYMMDD; false for a day that no calendar has.
inline bool fix_date(std::string_view text, int64_t& days) {
    if (text.size() != 8) return false;
    int64_t year = fix_digits(text.data(), 4);
    const int64_t month = fix_digits(text.data() + 4, 2), day = fix_digits(text.data() + 6, 2);
    if (year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1) return false;
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    constexpr int LENGTHS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (day > LENGTHS[month - 1] + (leap && month == 2)) return false;
    // The year begins in March, so that the leap day is its last.
    year -= month <= 2;
    const int64_t era = year / 400, of_era = year - era * 400;
    const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    days = era * 146'097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719'468;
    return true;
}

// Nanoseconds of HH:MM:SS with up to nine decimals.
inline bool fix_time(std::string_view text, int64_t& ns) {
    if (text.size() < 8 || text[2] != ':' || text[5] != ':') return false;
    const int64_t hour = fix_digits(text.data(), 2), minute = fix_digits(text.data() + 3, 2),
                  second = fix_digits(text.data() + 6, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return false;
    ns = (hour * 3600 + minute * 60 + second) * NS_PER_S;
    if (text.size() == 8) return true;
    const int decimals = static_cast<int>(text.size()) - 9;
    if (text[8] != '.' || decimals < 1 || decimals > NS_DIGITS) return false;
    const int64_t fraction = fix_digits(text.data() + 9, decimals);
    if (fraction < 0) return false;
    ns += fraction * static_cast<int64_t>(POWER_OF_TEN[NS_DIGITS - decimals]);
    return true;
}

// Plain decimals of at most 18 characters, which is what venues write; false leaves the judgement to parse_decimal().
inline bool short_decimal(std::string_view text, int precision, int64_t& out) {
    const size_t size = text.size();
    if (size == 0 || size > 18 || !is_digit(text[0]) || !is_digit(text[size - 1])) return false;
    int64_t value = 0;
    size_t point = size;
    for (size_t index = 0; index < size; ++index) {
        if (is_digit(text[index])) {
            value = value * 10 + (text[index] - '0');
        } else if (text[index] == '.' && point == size) {
            point = index;
        } else {
            return false;
        }
    }
    const int missing = precision - (point == size ? 0 : static_cast<int>(size - point - 1));
    return missing >= 0 && !__builtin_mul_overflow(value, static_cast<int64_t>(POWER_OF_TEN[missing]), &out);
}

inline Number fix_decimal(std::string_view text, int precision, bool sign_allowed, int64_t& out) {
    // parse_decimal() reads up to the SOH behind the value.
    return short_decimal(text, precision, out) ? Number::EXACT
                                               : parse_decimal(text.data(), '\001', precision, sign_allowed, out);
}

class FixMarketFrames : public BookFrames {
   protected:
    int judge(const char* frame, size_t length) override {
        const char* p = nullptr;
        const char* end = nullptr;
        const FixFault fault = fix_frame(frame, length, p, end);
        if (fault != FixFault::NONE) return malformed(std::string("it ") + tradewind::explain(fault));
        reset();
        int tag = 0;
        FixSpan value;
        while (p < end) {
            if (!fix_field(p, end, tag, value)) return malformed("it has a field that is not tag=value");
            if (!take(tag, std::string_view(value.at, value.size))) return is_other_ ? UNKNOWN : MALFORMED;
        }
        if (!has_type_) return malformed("it has no MsgType");
        if (told_ < 0) return malformed("it has no NoMDEntries");
        if (!end_entry()) return is_other_ ? UNKNOWN : MALFORMED;
        if (seen_ != told_) return malformed("NoMDEntries is not the number of its entries");
        if (is_snapshot_ && !names_symbol_) return malformed("it has no Symbol");
        has_sequence = true;
        sequence = static_cast<int64_t>(number_);
        return finish(is_snapshot_ ? SNAPSHOT : has_levels_ ? DEPTH : TRADE);
    }

   private:
    enum Tag : int {
        SEQUENCE = 34, TYPE = 35, SENDING_TIME = 52, SYMBOL = 55, ENTRIES = 268, ENTRY_TYPE = 269, PRICE = 270,
        SIZE = 271, DATE = 272, TIME = 273, ACTION = 279, POSITION = 290
    };

    void reset() {
        has_type_ = is_snapshot_ = names_symbol_ = has_levels_ = is_other_ = in_entry_ = false;
        told_ = -1;
        seen_ = 0;
        number_ = 0;
        sent_ = ts_recv_;
        day_ = -1;
        entry_ = {};
    }

    bool take(int tag, std::string_view value) {
        switch (tag) {
            case TYPE: return take_type(value);
            case SEQUENCE: return unsigned_value(value, "MsgSeqNum", number_);
            case SENDING_TIME: return take_sending_time(value);
            case ENTRIES: return take_count(value);
            case ACTION: return is_snapshot_ || (begin_entry() && one_of(value, "012", "MDUpdateAction", entry_.action));
            case ENTRY_TYPE:
                if (is_snapshot_ && !begin_entry()) return false;
                if (told_ < 0 || !in_entry_) return fail("an entry before NoMDEntries or MDUpdateAction");
                // Other types (opening, index, imbalance, ...) are passed over.
                entry_.type = value.size() == 1 ? value[0] : 'x';
                return true;
            case SYMBOL: return is_snapshot_ || in_entry_ || told_ < 0 ? take_symbol(value) : true;
            case PRICE: entry_.price = value; return true;
            case SIZE: entry_.size = value; return true;
            case DATE: entry_.date = value; return true;
            case TIME: entry_.time = value; return true;
            case POSITION: entry_.position = value; return true;
            default: return true;
        }
    }

    bool take_type(std::string_view value) {
        if (has_type_) return fail("it repeats MsgType");
        has_type_ = true;
        is_snapshot_ = value == "W";
        if (is_snapshot_ || value == "X") return true;
        is_other_ = true;
        unknown("message type", value);
        return false;
    }

    bool take_sending_time(std::string_view value) {
        int64_t ns = 0;
        if (value.size() < 17 || value[8] != '-' || !fix_date(value.substr(0, 8), day_) || !fix_time(value.substr(9), ns))
            return fail("its SendingTime is no time");
        sent_ = day_ * 86'400 * NS_PER_S + ns;
        return true;
    }

    bool take_count(std::string_view value) {
        uint64_t count = 0;
        if (told_ >= 0) return fail("it repeats NoMDEntries");
        if (!has_type_) return fail("NoMDEntries before MsgType");
        if (!unsigned_value(value, "NoMDEntries", count)) return false;
        if (count > MAX_LEVELS) return fail("it has more than 50,000 entries");
        told_ = static_cast<int64_t>(count);
        return true;
    }

    bool take_symbol(std::string_view value) {
        if (find_instrument(value)) {
            names_symbol_ = true;
            return true;
        }
        is_other_ = true;
        unknown("symbol", value);
        return false;
    }

    bool unsigned_value(std::string_view value, const char* what, uint64_t& out) {
        if (value.size() > 18) return fail(std::string(what) + " is too long");
        const int64_t found = fix_digits(value.data(), static_cast<int>(value.size()));
        if (found < 0) return fail(std::string(what) + " is not a whole number");
        out = static_cast<uint64_t>(found);
        return true;
    }

    bool one_of(std::string_view value, std::string_view allowed, const char* what, char& out) {
        if (value.size() != 1 || allowed.find(value[0]) == std::string_view::npos)
            return fail(std::string(what) + " is none that it can be");
        out = value[0];
        return true;
    }

    bool begin_entry() {
        if (told_ < 0) return fail("an entry before NoMDEntries or MDUpdateAction");
        if (!end_entry()) return false;
        if (++seen_ > told_) return fail("NoMDEntries is not the number of its entries");
        in_entry_ = true;
        entry_ = {};
        return true;
    }

    // What was gathered becomes a record.
    bool end_entry() {
        if (is_snapshot_ && names_symbol_ && records_.empty()) {
            records_.push_back(blank(RECORD_CLEAR, sent_, number_, number_));
            records_.back().flags = FLAG_SNAPSHOT;
        }
        if (!in_entry_) return true;
        if (is_snapshot_ && !names_symbol_) return fail("its Symbol does not stand before its entries");
        if (!names_symbol_) return fail("an entry has no Symbol");
        if (entry_.type == 0) return fail("an entry has no MDEntryType");
        const bool is_trade = entry_.type == '2';
        if (!is_trade && entry_.type != '0' && entry_.type != '1') return true;
        // Written in place: what is put together elsewhere and copied waits for its own stores.
        MarketRecord& record = records_.emplace_back();
        record.ts_event = sent_;
        record.ts_recv = ts_recv_;
        record.order_id = record.sequence = number_;
        record.instrument = instrument_.number;
        record.kind = is_trade ? RECORD_TRADE : RECORD_LEVEL;
        if (!read_numbers(record, entry_.action == '2')) return false;
        if (!is_trade) {
            record.side = entry_.type == '0' ? SIDE_BUY : SIDE_SELL;
            record.flags = is_snapshot_ ? FLAG_SNAPSHOT : 0;
            has_levels_ = true;
        }
        return true;
    }

    bool read_numbers(MarketRecord& record, bool is_delete) {
        if (entry_.price.empty()) return fail("an entry has no MDEntryPx");
        if (entry_.size.empty() && !is_delete) return fail("an entry has no MDEntrySize");
        Number result = fix_decimal(entry_.price, instrument_.price_precision, true, record.price);
        if (result != Number::EXACT) return fail(std::string("MDEntryPx ") + tradewind::explain(result));
        if (!is_delete) {
            result = fix_decimal(entry_.size, instrument_.size_precision, false, record.size);
            if (result != Number::EXACT) return fail(std::string("MDEntrySize ") + tradewind::explain(result));
        }
        uint64_t position = 0;
        if (!entry_.position.empty() && !unsigned_value(entry_.position, "MDEntryPositionNo", position)) return false;
        record.level = static_cast<uint8_t>(std::min<uint64_t>(position ? position - 1 : 0, 255));
        return entry_.time.empty() || read_time(record);
    }

    bool read_time(MarketRecord& record) {
        int64_t days = day_, ns = 0;
        if (!entry_.date.empty() && !fix_date(entry_.date, days)) return fail("an MDEntryDate is no date");
        if (!fix_time(entry_.time, ns)) return fail("an MDEntryTime is no time");
        if (days < 0) return fail("an MDEntryTime has no date");
        record.ts_event = days * 86'400 * NS_PER_S + ns;
        return true;
    }

    struct Entry {
        char action = '0', type = 0;
        std::string_view price, size, date, time, position;
    };

    bool has_type_ = false, is_snapshot_ = false, names_symbol_ = false, has_levels_ = false, is_other_ = false;
    bool in_entry_ = false;
    int64_t told_ = -1, seen_ = 0, sent_ = 0, day_ = -1;
    uint64_t number_ = 0;
    Entry entry_{};
};

}  // namespace tradewind

#endif
