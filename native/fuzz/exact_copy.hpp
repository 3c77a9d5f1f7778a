// The input at an address of its own, exactly as long as it is: one byte read too far is seen by AddressSanitizer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

class ExactCopy {
   public:
    ExactCopy(const uint8_t* data, size_t size, size_t end_mark = 0) : bytes_(new uint8_t[size + end_mark]()), size_(size) {
        if (size != 0) std::memcpy(bytes_.get(), data, size);
    }
    const uint8_t* begin() const { return bytes_.get(); }
    const uint8_t* end() const { return bytes_.get() + size_; }
    const char* text() const { return reinterpret_cast<const char*>(bytes_.get()); }
    size_t size() const { return size_; }

   private:
    std::unique_ptr<uint8_t[]> bytes_;
    size_t size_;
};

// What must hold whatever the input was; the fuzzer keeps the input that breaks it.
inline void must(bool holds) {
    if (!holds) __builtin_trap();
}
