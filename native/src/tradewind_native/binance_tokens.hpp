// A Binance frame as raw JSON tokens, on simdjson's on-demand parser.
//
// The on-demand parser checks only what is read, so every value is read: what is not needed is checked by
// check_unused(). Keys may come in any order, and the type of an event may come last: everything is gathered first.
#ifndef TRADEWIND_BINANCE_TOKENS_HPP
#define TRADEWIND_BINANCE_TOKENS_HPP

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "simdjson.h"
#include "tradewind_native/frame_verdicts.hpp"
#include "tradewind_native/json_numbers.hpp"

// Kept out of line so that the loop over fields stays small.
#define TRADEWIND_COLD __attribute__((noinline))

namespace tradewind {

constexpr size_t KEPT_BUFFER_BYTES = 1024 * 1024;  // a larger buffer is given back after its frame
constexpr size_t CACHE_LINE = 64;  // simdjson reads 64 bytes at a time
constexpr int MAX_DEPTH = 512;

struct LevelTokens {
    const char* price = nullptr;
    const char* size = nullptr;
};

struct Levels {
    std::vector<LevelTokens> tokens;
    bool well_formed = true;

    void clear() {
        tokens.clear();
        well_formed = true;
    }
};

// The fields of all events that we read, by their one-letter keys. SNAPSHOT's long keys share u, b and a.
enum Field : int { F_e, F_E, F_s, F_U, F_u, F_t, F_T, F_m, F_p, F_q, F_b, F_B, F_a, F_A, FIELDS, F_NONE = FIELDS };

constexpr std::array<uint8_t, 128> make_field_table() {
    std::array<uint8_t, 128> table{};
    for (auto& entry : table) entry = F_NONE;
    constexpr char letters[] = {'e', 'E', 's', 'U', 'u', 't', 'T', 'm', 'p', 'q', 'b', 'B', 'a', 'A'};
    for (int i = 0; i < FIELDS; ++i) table[static_cast<size_t>(letters[i])] = static_cast<uint8_t>(i);
    return table;
}
constexpr std::array<uint8_t, 128> FIELD_OF_LETTER = make_field_table();

constexpr uint32_t bit(Field field) { return 1u << field; }
struct Event {
    uint32_t present = 0;
    bool answers_request = false;
    const char* token[FIELDS] = {};
    Levels bids, asks;

    bool has(Field field) const { return present & bit(field); }
    void clear() {
        present = 0;
        answers_request = false;
        bids.clear();
        asks.clear();
    }
};

class FrameReader {
   protected:
    using Value = simdjson::ondemand::value;

    bool fail(std::string reason) {
        reason_ = std::move(reason);
        return false;
    }

    bool check(simdjson::error_code error) {
        return error == simdjson::SUCCESS || fail(std::string("not JSON: ") + simdjson::error_message(error));
    }

    // --- text -------------------------------------------------------------------------------------------------------

    // The text of a string token; false when an escape in it is wrong.
    bool text(const char* token, std::string_view& out) {
        const char* start = token + 1;
        const char* p = start;
        while (*p != '"' && *p != '\\') ++p;
        if (*p == '"') {
            out = {start, static_cast<size_t>(p - start)};
            return true;
        }
        return unescape(start, out);
    }

    TRADEWIND_COLD bool unescape(const char* start, std::string_view& out) {
        const char* end = start;
        while (*end != '"') end += *end == '\\' ? 2 : 1;
        std::string& copy = unescaped_.emplace_back(static_cast<size_t>(end - start) + simdjson::SIMDJSON_PADDING, '\0');
        auto* target = reinterpret_cast<uint8_t*>(copy.data());
        simdjson::ondemand::raw_json_string raw(reinterpret_cast<const uint8_t*>(start));
        auto result = parser_->unescape(raw, target, false);
        if (result.error()) return fail("not JSON: a string has a wrong escape");
        out = result.value_unsafe();
        return true;
    }

    // --- gathering --------------------------------------------------------------------------------------------------

    bool parse(const char* frame, size_t length) {
        if (length > MAX_FRAME_BYTES) return fail("it is larger than 16 MiB");
        prepare(length);
        std::memcpy(buffer_, frame, length);
        std::memset(buffer_ + length, 0, simdjson::SIMDJSON_PADDING);
        simdjson::ondemand::document document;
        simdjson::ondemand::object object;
        if (!check(parser_->iterate(buffer_, length, length + simdjson::SIMDJSON_PADDING).get(document))) {
            return false;
        }
        if (document.get_object().get(object)) return fail("it is not a JSON object");
        if (!gather(object, outer_, true)) return false;
        return document.at_end() || fail("not JSON: more text after the object");
    }

    void prepare(size_t length) {
        if (length + simdjson::SIMDJSON_PADDING > buffer_size_ ||
            (buffer_size_ > KEPT_BUFFER_BYTES && length < KEPT_BUFFER_BYTES / 2)) {
            buffer_size_ = std::max<size_t>(length + length / 2, 64 * 1024) + simdjson::SIMDJSON_PADDING;
            storage_ = std::make_unique<char[]>(buffer_size_ + CACHE_LINE);
            const auto address = reinterpret_cast<uintptr_t>(storage_.get());
            buffer_ = storage_.get() + (CACHE_LINE - address % CACHE_LINE);
            parser_ = std::make_unique<simdjson::ondemand::parser>();
        }
        outer_.clear();
        inner_.clear();
        wrapped_ = wrapped_well_ = false;
        if (!unescaped_.empty()) unescaped_.clear();
    }

    bool gather(simdjson::ondemand::object& object, Event& event, bool is_outer) {
        for (auto entry : object) {
            if (!check(entry.error())) return false;
            auto&& field = std::move(entry).value_unsafe();  // not copied: a copy of what was just stored waits for it
            const char* key = field.key().raw();
            const auto letter = static_cast<unsigned char>(key[0]);
            const bool one_letter = key[1] == '"' && letter < 128 && letter != '\\' && !snapshot_keys_;
            const Field name = one_letter ? static_cast<Field>(FIELD_OF_LETTER[letter]) : F_NONE;
            const bool stored = name == F_NONE ? gather_long_key(key, field.value(), event, is_outer)
                                               : gather_field(name, field.value(), event);
            if (!stored) return false;
        }
        return true;
    }

    // The raw token of a value. A string is read at once: simdjson goes on from it faster than from a value left alone.
    const char* consume(Value& value) {
        const char* token = value.raw_json_token().data();
        if (*token == '"') (void)value.get_raw_json_string();
        return token;
    }

    bool gather_field(Field name, Value& value, Event& event) {
        const char* token = consume(value);
        if (event.has(name) && !check_replaced(event, name)) return false;
        event.token[name] = token;
        event.present |= bit(name);
        if (*token == '[' && name == F_b) return gather_levels(value, event.bids, event);
        if (*token == '[' && name == F_a) return gather_levels(value, event.asks, event);
        return (*token != '[' && *token != '{') || check_unused(value, 1);
    }

    TRADEWIND_COLD bool gather_long_key(const char* raw_key, Value& value, Event& event, bool is_outer) {
        std::string_view key;
        if (!text(raw_key - 1, key)) return false;
        if (key.size() == 1 && static_cast<unsigned char>(key[0]) < 128 && !snapshot_keys_) {
            const Field name = static_cast<Field>(FIELD_OF_LETTER[static_cast<unsigned char>(key[0])]);
            if (name != F_NONE) return gather_field(name, value, event);
        }
        if (!is_outer) return check_unused(value, 1);
        if (snapshot_keys_) {
            if (key == "lastUpdateId") return gather_field(F_u, value, event);
            if (key == "bids") return gather_field(F_b, value, event);
            if (key == "asks") return gather_field(F_a, value, event);
        } else if (key == "data") {
            return gather_data(value);
        }
        event.answers_request |= key == "result" || key == "error" || key == "code";
        return check_unused(value, 1);
    }

    TRADEWIND_COLD bool gather_data(Value& value) {
        if (wrapped_ && !check_event(inner_, 0)) return false;
        wrapped_ = true;
        inner_.clear();
        wrapped_well_ = *value.raw_json_token().data() == '{';
        if (!wrapped_well_) return check_unused(value, 1);
        simdjson::ondemand::object object;
        return check(value.get_object().get(object)) && gather(object, inner_, false);
    }

    bool gather_levels(Value& value, Levels& levels, const Event& event) {
        levels.clear();
        auto array = value.get_array();
        if (!check(array.error())) return false;
        for (auto entry : array) {
            if (!check(entry.error())) return false;
            auto&& level = std::move(entry).value_unsafe();
            if (*level.raw_json_token().data() != '[') {
                levels.well_formed = false;
                if (!check_unused(level, 2)) return false;
            } else if (!gather_level(level, levels)) {
                return false;
            }
            if (event.bids.tokens.size() + event.asks.tokens.size() > MAX_LEVELS) {
                return fail("it has more than 50,000 levels");
            }
        }
        return true;
    }

    bool gather_level(Value& value, Levels& levels) {
        auto pair = value.get_array();
        if (!check(pair.error())) return false;
        LevelTokens& level = levels.tokens.emplace_back();
        int count = 0;
        for (auto entry : pair) {
            if (!check(entry.error())) return false;
            auto&& number = std::move(entry).value_unsafe();
            const char* token = consume(number);
            if (*token != '"' || count >= 2) {
                levels.well_formed = false;
                if (!check_unused(number, 3)) return false;
            } else if (count == 0) {
                level.price = token;
            } else {
                level.size = token;
            }
            ++count;
        }
        if (count != 2) levels.well_formed = false;
        return true;
    }

    // --- checking what is not used ----------------------------------------------------------------------------------

    bool check_string(const char* token) {
        std::string_view ignored;
        const size_t kept = unescaped_.size();
        const bool good = text(token, ignored);
        unescaped_.resize(kept);
        return good;
    }

    bool check_scalar(const char* token) {
        if (*token == '"') return check_string(token);
        return is_plain_scalar(token) || fail("not JSON: a value is no number, string, true, false or null");
    }

    // Recursion is bounded by MAX_DEPTH.
    TRADEWIND_COLD bool check_unused(Value& value, int depth) {
        const char* token = consume(value);
        if (*token != '[' && *token != '{') return check_scalar(token);
        if (depth >= MAX_DEPTH) return fail("it is nested deeper than 512");
        if (*token == '[') {
            simdjson::ondemand::array array;
            if (!check(value.get_array().get(array))) return false;
            for (auto entry : array) {
                Value element;
                if (!check(std::move(entry).get(element)) || !check_unused(element, depth + 1)) return false;
            }
            return true;
        }
        simdjson::ondemand::object object;
        if (!check(value.get_object().get(object))) return false;
        for (auto entry : object) {
            simdjson::ondemand::field field;
            if (!check(std::move(entry).get(field)) || !check_string(field.key().raw() - 1)) return false;
            if (!check_unused(field.value(), depth + 1)) return false;
        }
        return true;
    }

    // Checks what was gathered for fields that this kind of event does not have.
    bool check_others(uint32_t used) {
        return check_event(outer_, event_ == &outer_ ? used : 0) && check_event(inner_, event_ == &inner_ ? used : 0);
    }

    TRADEWIND_COLD bool check_event(const Event& event, uint32_t used) {
        uint32_t others = event.present & ~used;
        for (int i = 0; others != 0; ++i, others >>= 1) {
            if ((others & 1) && !check_gathered(event.token[i])) return false;
        }
        return (used & bit(F_b)) || (check_level_texts(event.bids) && check_level_texts(event.asks));
    }

    // Containers were checked when they were gathered, but for the texts of levels.
    bool check_gathered(const char* token) { return *token == '[' || *token == '{' || check_scalar(token); }

    // The last one of doubled keys counts; the ones before it must still be JSON.
    TRADEWIND_COLD bool check_replaced(const Event& event, Field name) {
        return check_gathered(event.token[name]) && (name != F_b || check_level_texts(event.bids)) &&
               (name != F_a || check_level_texts(event.asks));
    }

    bool check_level_texts(const Levels& levels) {
        for (const LevelTokens& level : levels.tokens) {
            if ((level.price && !check_scalar(level.price)) || (level.size && !check_scalar(level.size))) return false;
        }
        return true;
    }

    std::string reason_;
    Event outer_, inner_;
    Event* event_ = &outer_;  // the one of the two that is judged
    bool snapshot_keys_ = false;
    bool wrapped_ = false;
    bool wrapped_well_ = false;
    std::deque<std::string> unescaped_;  // what views of escaped strings point at, for one frame

   private:
    std::unique_ptr<simdjson::ondemand::parser> parser_;
    std::unique_ptr<char[]> storage_;
    char* buffer_ = nullptr;
    size_t buffer_size_ = 0;
};

}  // namespace tradewind

#endif
