// A decoder that believes a length: the fuzzers' own test, which must end with a find.
#include "exact_copy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    const ExactCopy message(data, size);
    volatile uint8_t sum = 0;
    for (size_t index = 1; index <= message.begin()[0]; ++index) sum = sum + message.begin()[index];
    return 0;
}
