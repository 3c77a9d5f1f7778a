// Exact numbers from raw JSON tokens. A token is what simdjson points at: its first character, in a padded buffer.
#ifndef TRADEWIND_JSON_NUMBERS_HPP
#define TRADEWIND_JSON_NUMBERS_HPP

#include <cstdint>
#include <cstring>
#include <limits>

namespace tradewind {

enum class Number { EXACT, NOT_A_NUMBER, NEGATIVE, TOO_FINE, TOO_LARGE };

inline const char* explain(Number result) {
    switch (result) {
        case Number::EXACT: return "is exact";
        case Number::NOT_A_NUMBER: return "is not a plain decimal number";
        case Number::NEGATIVE: return "is negative";
        case Number::TOO_FINE: return "has more decimals than the instrument";
        case Number::TOO_LARGE: return "does not fit 64 bits";
    }
    return "";
}

constexpr int MAX_PRECISION = 18;
constexpr uint64_t POWER_OF_TEN[MAX_PRECISION + 1] = {
    1ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL, 100000000ULL, 1000000000ULL,
    10000000000ULL, 100000000000ULL, 1000000000000ULL, 10000000000000ULL, 100000000000000ULL, 1000000000000000ULL,
    10000000000000000ULL, 100000000000000000ULL, 1000000000000000000ULL};

inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

inline bool ends_token(char c) {
    return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\0';
}

// Appends one digit; false when the value leaves int64.
inline bool append_digit(uint64_t& mantissa, char c) {
    constexpr uint64_t LIMIT = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    const uint64_t digit = static_cast<uint64_t>(c - '0');
    if (mantissa >= LIMIT / 10 && (mantissa > LIMIT / 10 || digit > LIMIT % 10)) return false;
    mantissa = mantissa * 10 + digit;
    return true;
}

// Eight characters at once, the first one in the lowest byte (the platform is little-endian).
inline uint64_t eight_characters(const char* p) {
    uint64_t word;
    std::memcpy(&word, p, sizeof word);
    return word;
}

constexpr uint64_t EIGHT_ZEROS = 0x3030303030303030ULL;

// The high bit of each byte of `word` that is no digit; exact up to the first such byte.
inline uint64_t mark_non_digits(uint64_t word) {
    const uint64_t values = word ^ EIGHT_ZEROS;
    return ((values + 0x7676767676767676ULL) | values) & 0x8080808080808080ULL;
}

// The number that eight digits write: pairs, then fours, then all eight by three multiplications.
inline uint64_t eight_digits(uint64_t word) {
    word -= EIGHT_ZEROS;
    word = word * 10 + (word >> 8);
    constexpr uint64_t MASK = 0x000000FF000000FFULL;
    const uint64_t high = (word & MASK) * (100 + (1000000ULL << 32));
    const uint64_t low = ((word >> 16) & MASK) * (1 + (10000ULL << 32));
    return (high + low) >> 32;
}

inline int trailing_zeros(uint64_t word) {
    return __builtin_ctzll(word);  // gcc and clang
}

// The first `count` (1 to 8) of eight digits, with zeros in front.
inline uint64_t kept_digits(uint64_t word, int count) {
    return count == 8 ? word : (word << (64 - 8 * count)) | (EIGHT_ZEROS >> (8 * count));
}

// What Binance writes: up to seven digits, a point, eight decimals, then `end_mark`. False for any other text, which
// parse_decimal() judges. Reads at most 17 characters from `p`.
inline bool parse_eight_decimals(const char* p, char end_mark, int precision, int64_t& out) {
    const uint64_t head = eight_characters(p);
    const uint64_t marks = mark_non_digits(head);
    if (marks == 0 || precision < 1 || precision > 8) return false;
    const int length = trailing_zeros(marks) / 8;
    if (length == 0 || p[length] != '.' || p[length + 9] != end_mark) return false;
    const uint64_t tail = eight_characters(p + length + 1);
    const int kept = 8 * precision;
    if (mark_non_digits(tail) != 0 || (kept < 64 && ((tail ^ EIGHT_ZEROS) >> kept) != 0)) return false;
    // Zeros in front stand for the digits that are cut off.
    const uint64_t whole = eight_digits(kept_digits(head, length));
    const uint64_t decimals = eight_digits(kept_digits(tail, precision));
    out = static_cast<int64_t>(whole * POWER_OF_TEN[precision] + decimals);
    return true;
}

// The mantissa at `precision` of the decimal text from `p` up to `end_mark`: -?digits[.digits], no exponent.
inline Number parse_decimal(const char* p, char end_mark, int precision, bool sign_allowed, int64_t& out) {
    const bool negative = *p == '-';
    p += negative;
    uint64_t mantissa = 0;
    int missing = precision;
    if (!is_digit(*p)) return Number::NOT_A_NUMBER;
    bool fits = true;
    bool fine = false;
    for (; is_digit(*p); ++p) fits = append_digit(mantissa, *p) && fits;
    if (*p == '.') {
        if (!is_digit(*++p)) return Number::NOT_A_NUMBER;
        for (; missing > 0 && is_digit(*p); ++p, --missing) fits = append_digit(mantissa, *p) && fits;
        for (; is_digit(*p); ++p) fine |= *p != '0';
    }
    if (*p != end_mark) return Number::NOT_A_NUMBER;
    if (negative && !sign_allowed) return Number::NEGATIVE;
    if (fine) return Number::TOO_FINE;
    const uint64_t limit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (!fits || (missing > 0 && mantissa > limit / POWER_OF_TEN[missing])) return Number::TOO_LARGE;
    mantissa *= POWER_OF_TEN[missing];
    out = negative ? -static_cast<int64_t>(mantissa) : static_cast<int64_t>(mantissa);
    return Number::EXACT;
}

// A JSON integer from 0 to 2^64-1.
inline Number parse_unsigned(const char* p, uint64_t& out) {
    if (*p == '-') return Number::NEGATIVE;
    if (!is_digit(*p) || (*p == '0' && is_digit(p[1]))) return Number::NOT_A_NUMBER;
    uint64_t value = 0;
    for (; is_digit(*p); ++p) {
        const uint64_t digit = static_cast<uint64_t>(*p - '0');
        constexpr uint64_t LIMIT = std::numeric_limits<uint64_t>::max();
        if (value >= LIMIT / 10 && (value > LIMIT / 10 || digit > LIMIT % 10)) return Number::TOO_LARGE;
        value = value * 10 + digit;
    }
    out = value;
    return ends_token(*p) ? Number::EXACT : Number::NOT_A_NUMBER;
}

inline bool parse_bool(const char* p, bool& out) {
    out = *p == 't';
    return out ? std::memcmp(p, "true", 4) == 0 && ends_token(p[4])
               : std::memcmp(p, "false", 5) == 0 && ends_token(p[5]);
}

inline const char* skip_digits(const char* p) {
    while (is_digit(*p)) ++p;
    return p;
}

// Whether a token that is neither string nor container follows the JSON grammar.
inline bool is_plain_scalar(const char* p) {
    bool truth = false;
    if (*p == 't' || *p == 'f') return parse_bool(p, truth);
    if (*p == 'n') return std::memcmp(p, "null", 4) == 0 && ends_token(p[4]);
    p += *p == '-';
    if (!is_digit(*p)) return false;
    p = *p == '0' ? p + 1 : skip_digits(p);
    if (*p == '.') {
        if (!is_digit(*++p)) return false;
        p = skip_digits(p);
    }
    if (*p == 'e' || *p == 'E') {
        ++p;
        p += *p == '+' || *p == '-';
        if (!is_digit(*p)) return false;
        p = skip_digits(p);
    }
    return ends_token(*p);
}

}  // namespace tradewind

#endif
