// Frames of venues whose books carry checksums, to market records. Wrapped by book_frames.pyx.
//
// A frame is parsed whole and checked whole by simdjson's DOM parser; exact numbers come out of its strings. Records
// gather in memory of ours until the caller copies them.
#ifndef TRADEWIND_BOOK_FRAMES_HPP
#define TRADEWIND_BOOK_FRAMES_HPP

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "simdjson.h"
#include "tradewind_native/frame_verdicts.hpp"
#include "tradewind_native/json_numbers.hpp"
#include "tradewind_native/market_record.h"

namespace tradewind {

constexpr int NS_DIGITS = 9;

class BookFrames {
   public:
    virtual ~BookFrames() = default;

    void add_instrument(const char* symbol, size_t length, Instrument instrument) {
        instruments_[std::string(symbol, length)] = instrument;
    }

    bool knows(const char* symbol, size_t length) const {
        return instruments_.find(std::string_view(symbol, length)) != instruments_.end();
    }

    // Decodes one frame. What the members say afterwards holds only if it answers DECODED.
    int read(const char* frame, size_t length, int64_t ts_recv) {
        records_.clear();
        reason_.clear();
        ts_recv_ = ts_recv;
        kind_ = CONTROL;
        instrument_ = {};
        has_checksum = has_sequence = has_previous = false;
        price_decimals = size_decimals = -1;
        if (length > MAX_FRAME_BYTES) return malformed("it is larger than 16 MiB");
        return judge(frame, length);
    }

    size_t record_count() const { return records_.size(); }
    void copy_records(MarketRecord* out) const {
        if (!records_.empty()) std::memcpy(out, records_.data(), records_.size() * sizeof(MarketRecord));
    }
    int kind() const { return kind_; }
    uint32_t instrument() const { return instrument_.number; }
    const std::string& reason() const { return reason_; }

    bool has_checksum = false, has_sequence = false, has_previous = false;
    int64_t checksum = 0;
    int64_t sequence = 0, previous = 0;
    int price_decimals = -1, size_decimals = -1;  // as the texts of the last level have them

   protected:
    using Element = simdjson::dom::element;
    using Object = simdjson::dom::object;
    using Array = simdjson::dom::array;

    virtual int judge(const char* frame, size_t length) = 0;

    bool fail(std::string reason) {
        reason_ = std::move(reason);
        return false;
    }
    int malformed(std::string reason) {
        fail(std::move(reason));
        return MALFORMED;
    }
    int unknown(const char* what, std::string_view name) {
        fail(std::string(what) + " '" + std::string(name.substr(0, 40)) + "'");
        return UNKNOWN;
    }

    bool parse(const char* frame, size_t length, Element& out) {
        const auto error = parser_.parse(frame, length).get(out);
        return error == simdjson::SUCCESS || fail(std::string("not JSON: ") + simdjson::error_message(error));
    }

    bool find_instrument(std::string_view symbol) {
        const auto found = instruments_.find(symbol);
        if (found == instruments_.end()) return false;
        instrument_ = found->second;
        return true;
    }

    static bool text_at(const Object& object, std::string_view key, std::string_view& out) {
        return object.at_key(key).get_string().get(out) == simdjson::SUCCESS;
    }

    bool decimal(std::string_view text, int precision, bool sign_allowed, const char* what, int64_t& out) {
        // The DOM ends each string with a zero, which a zero within it must not be taken for.
        const Number result = text.find('\0') != std::string_view::npos
                                  ? Number::NOT_A_NUMBER
                                  : parse_decimal(text.data(), '\0', precision, sign_allowed, out);
        return result == Number::EXACT ||
               fail(std::string(what) + " '" + std::string(text.substr(0, 40)) + "' " + explain(result));
    }

    bool decimal(Element element, int precision, bool sign_allowed, const char* what, int64_t& out) {
        std::string_view text;
        if (element.get_string().get(text)) return fail(std::string(what) + " is not a string");
        return decimal(text, precision, sign_allowed, what, out);
    }

    bool price(std::string_view text, int64_t& out) {
        return decimal(text, instrument_.price_precision, true, "a price", out);
    }
    bool size(std::string_view text, int64_t& out) {
        return decimal(text, instrument_.size_precision, false, "a size", out);
    }

    bool unsigned_text(std::string_view text, const char* what, uint64_t& out) {
        const bool is_digits = text.find_first_not_of("0123456789") == std::string_view::npos;
        const Number result = is_digits ? parse_unsigned(text.data(), out) : Number::NOT_A_NUMBER;
        return result == Number::EXACT || fail(std::string(what) + " " + explain(result));
    }

    static int decimals_of(std::string_view text) {
        const size_t point = text.find('.');
        return point == std::string_view::npos ? 0 : static_cast<int>(text.size() - point - 1);
    }

    MarketRecord blank(uint8_t kind, int64_t ts_event, uint64_t order_id, uint64_t sequence_number) const {
        return {ts_event, ts_recv_, 0, 0, order_id, sequence_number, instrument_.number, kind, SIDE_NONE, 0, 0, 0};
    }

    // The first two strings of a level; whatever follows them is left to `rest`, which is told its place.
    template <class Rest>
    bool append_level(Element element, MarketRecord record, Rest&& rest) {
        Array level;
        if (element.get_array().get(level)) return fail("a level is not an array");
        int place = 0;
        for (Element part : level) {
            std::string_view text;
            if (place < 2 && part.get_string().get(text)) return fail("a level does not begin with two strings");
            if (place == 0) {
                if (!price(text, record.price)) return false;
                price_decimals = decimals_of(text);
            } else if (place == 1) {
                if (!size(text, record.size)) return false;
                size_decimals = decimals_of(text);
            } else if (!rest(place, part)) {
                return false;
            }
            ++place;
        }
        if (place < 2) return fail("a level has fewer than two parts");
        if (records_.size() > MAX_LEVELS) return fail("it has more than 50,000 levels");
        records_.push_back(record);
        return true;
    }

    template <class Rest>
    bool append_side(const Array& levels, MarketRecord record, uint8_t side, bool numbered, Rest&& rest) {
        record.side = side;
        size_t index = 0;
        for (Element level : levels) {
            if (numbered) record.level = static_cast<uint8_t>(std::min<size_t>(index++, 255));
            if (!append_level(level, record, rest)) return false;
        }
        return true;
    }

    int finish(Kind kind) {
        if (!records_.empty()) records_.back().flags |= FLAG_LAST;
        kind_ = kind;
        return DECODED;
    }

    std::vector<MarketRecord> records_;
    int64_t ts_recv_ = 0;
    int kind_ = CONTROL;
    Instrument instrument_{};

   private:
    simdjson::dom::parser parser_{MAX_FRAME_BYTES};
    std::map<std::string, Instrument, std::less<>> instruments_;
    std::string reason_;
};

}  // namespace tradewind

#endif
