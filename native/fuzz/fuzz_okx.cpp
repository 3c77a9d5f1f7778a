// OKX v5: books, trades, best prices, tickers.
#include "fuzz_books.hpp"
#include "tradewind_native/okx_frames.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    return fuzz_frames<tradewind::OkxFrames>(data, size, {"BTC-USDT", "UNI-USD-SWAP"}, 7);
}
