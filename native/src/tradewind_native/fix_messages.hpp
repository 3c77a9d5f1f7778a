// One pass over the bytes of a FIX message: BodyLength and CheckSum checked, the fields of an ExecutionReport kept.
#ifndef TRADEWIND_FIX_MESSAGES_HPP
#define TRADEWIND_FIX_MESSAGES_HPP

#include "json_numbers.hpp"

#include <cstddef>

namespace tradewind {

enum class FixFault { NONE, TRUNCATED, HEAD, LENGTH, TAG, CHECKSUM, REPEATED };

inline const char* explain(FixFault fault) {
    switch (fault) {
        case FixFault::NONE: return "is whole";
        case FixFault::TRUNCATED: return "is cut off";
        case FixFault::HEAD: return "does not begin with 8=FIX.x.y and 9=";
        case FixFault::LENGTH: return "has a BodyLength that is not its length";
        case FixFault::TAG: return "has a field that is not tag=value";
        case FixFault::CHECKSUM: return "has a wrong CheckSum";
        case FixFault::REPEATED: return "repeats a field";
    }
    return "";
}

struct FixSpan {
    const char* at;
    size_t size;
};

constexpr int FIX_SLOTS = 22;
// A tag to its slot; the order is that of the Python side.
constexpr int FIX_TAGS[FIX_SLOTS] = {35, 34, 49, 56, 43, 97, 37, 11, 41, 17, 150, 39, 55, 54, 38, 44, 32, 31, 151, 14, 6, 60};
constexpr int FIX_LARGEST = 151;

struct FixSlots {
    int8_t of[FIX_LARGEST + 1];
    constexpr FixSlots() : of() {
        for (int tag = 0; tag <= FIX_LARGEST; ++tag) of[tag] = -1;
        for (int slot = 0; slot < FIX_SLOTS; ++slot) of[FIX_TAGS[slot]] = static_cast<int8_t>(slot);
    }
};

inline uint8_t fix_sum(const char* p, size_t size) {
    uint32_t total = 0;
    for (size_t index = 0; index < size; ++index) total += static_cast<unsigned char>(p[index]);
    return static_cast<uint8_t>(total);
}

// Checks the frame of `size` bytes and finds where the body begins and ends.
inline FixFault fix_frame(const char* data, size_t size, const char*& body, const char*& end) {
    if (size < 20) return FixFault::TRUNCATED;
    if (std::memcmp(data, "8=FIX.", 6) != 0) return FixFault::HEAD;
    if (!is_digit(data[6]) || data[7] != '.' || !is_digit(data[8]) || std::memcmp(data + 9, "\0019=", 3) != 0)
        return FixFault::HEAD;
    const char* p = data + 12;
    uint64_t length = 0;
    // Nine digits are more than any message that is in memory as a whole; more would overflow nothing but say nothing.
    while (p < data + 21 && p < data + size && is_digit(*p)) length = length * 10 + static_cast<uint64_t>(*p++ - '0');
    if (p == data + 12 || p == data + size || *p != '\001') return FixFault::LENGTH;
    body = p + 1;
    const size_t left = size - static_cast<size_t>(body - data);
    if (left < length + 7) return FixFault::TRUNCATED;
    if (left != length + 7 || length == 0) return FixFault::LENGTH;
    end = body + length;
    if (end[-1] != '\001' || std::memcmp(end, "10=", 3) != 0 || end[6] != '\001') return FixFault::LENGTH;
    if (!is_digit(end[3]) || !is_digit(end[4]) || !is_digit(end[5])) return FixFault::CHECKSUM;
    const int told = (end[3] - '0') * 100 + (end[4] - '0') * 10 + (end[5] - '0');
    return told == fix_sum(data, static_cast<size_t>(end - data)) ? FixFault::NONE : FixFault::CHECKSUM;
}

// The next field of a body that ends at `end`; false where there is none of the form tag=value.
inline bool fix_field(const char*& p, const char* end, int& tag, FixSpan& value) {
    const char* start = p;
    tag = 0;
    while (is_digit(*p) && p - start < 8) tag = tag * 10 + (*p++ - '0');
    if (p == start || *p != '=' || *start == '0') return false;
    const char* at = ++p;
    // The body ends with SOH, so there is one; values are short, and a loop finds it sooner than memchr.
    while (*p != '\001') ++p;
    if (p == at || p >= end) return false;
    value = FixSpan{at, static_cast<size_t>(p++ - at)};
    return true;
}

// The spans of the fields that have a slot; a slot that is not in the message has no address.
inline FixFault fix_fields(const char* data, size_t size, FixSpan* out) {
    static constexpr FixSlots slots;
    const char* p = nullptr;
    const char* end = nullptr;
    const FixFault fault = fix_frame(data, size, p, end);
    if (fault != FixFault::NONE) return fault;
    for (int slot = 0; slot < FIX_SLOTS; ++slot) out[slot] = FixSpan{nullptr, 0};
    while (p < end) {
        int tag = 0;
        FixSpan value;
        if (!fix_field(p, end, tag, value)) return FixFault::TAG;
        const int slot = tag <= FIX_LARGEST ? slots.of[tag] : -1;
        if (slot >= 0) {
            if (out[slot].at != nullptr) return FixFault::REPEATED;
            out[slot] = value;
        }
    }
    return FixFault::NONE;
}

}  // namespace tradewind

#endif
