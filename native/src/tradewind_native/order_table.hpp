// Orders of many instruments by reference number, and the price levels that they make (L3 book).
//
// Orders: open addressing, linear probing, deletion by shifting back, so that no tombstones gather over a day.
// Levels: a sorted vector a side with the best last (price_levels.hpp): nearly all changes are near the best.
#ifndef TRADEWIND_ORDER_TABLE_HPP
#define TRADEWIND_ORDER_TABLE_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "tradewind_native/market_record.h"
#include "tradewind_native/price_levels.hpp"

namespace tradewind {

struct RestingOrder {
    uint64_t id;
    int64_t price;
    int64_t size;  // 0: the slot is free
    uint32_t book;
    uint8_t side;
};

struct OrderLevel {
    int64_t key;
    int64_t size;
    int64_t orders;
};

struct LevelSides {
    uint32_t instrument;
    std::vector<OrderLevel> sides[2];
    std::vector<OrderLevel>& of(int side) { return sides[side - 1]; }
};

class OrderTable {
public:
    OrderTable() : slots_(8192), mask_(8191) {}

    size_t count() const { return count_; }

    RestingOrder* find(uint64_t id) {
        for (size_t at = home(id);; at = (at + 1) & mask_) {
            if (slots_[at].size == 0) return nullptr;
            if (slots_[at].id == id) return &slots_[at];
        }
    }

    // The order of this id, or the free slot where it goes; what is put there counts once kept().
    RestingOrder* slot(uint64_t id) {
        if (2 * (count_ + 1) > slots_.size()) grow();
        size_t at = home(id);
        while (slots_[at].size != 0 && slots_[at].id != id) at = (at + 1) & mask_;
        return &slots_[at];
    }
    void kept() { ++count_; }

    void erase(RestingOrder* order) {
        size_t hole = static_cast<size_t>(order - slots_.data());
        for (size_t at = (hole + 1) & mask_; slots_[at].size != 0; at = (at + 1) & mask_) {
            if (((at - home(slots_[at].id)) & mask_) >= ((at - hole) & mask_)) {
                slots_[hole] = slots_[at];
                hole = at;
            }
        }
        slots_[hole].size = 0;
        --count_;
    }

    std::vector<uint64_t> ids_of(uint32_t book) const {
        std::vector<uint64_t> ids;
        for (const RestingOrder& order : slots_) {
            if (order.size != 0 && order.book == book) ids.push_back(order.id);
        }
        return ids;
    }

private:
    size_t home(uint64_t id) const { return (id * 0x9E3779B97F4A7C15ull >> 20) & mask_; }

    void place(const RestingOrder& order) {
        size_t at = home(order.id);
        while (slots_[at].size != 0) at = (at + 1) & mask_;
        slots_[at] = order;
    }

    void grow() {
        std::vector<RestingOrder> old(2 * slots_.size());
        old.swap(slots_);
        mask_ = slots_.size() - 1;
        for (const RestingOrder& order : old) {
            if (order.size != 0) place(order);
        }
    }

    std::vector<RestingOrder> slots_;
    size_t mask_;
    size_t count_ = 0;
};

// Answers of apply(): why a record is not one of a book.
enum class Refusal : int { NONE = 0, WRONG_SIZE = 1, WRONG_SIDE = 2 };

class OrderBooks {
public:
    uint64_t applied = 0;
    uint64_t unknown_orders = 0;
    uint64_t repeated_orders = 0;
    uint64_t excess_sizes = 0;

    size_t orders() const { return table_.count(); }
    RestingOrder* find(uint64_t id) { return table_.find(id); }
    uint32_t instrument_of(const RestingOrder& order) const { return books_[order.book].instrument; }

    LevelSides* sides(uint32_t instrument) {
        auto found = numbers_.find(instrument);
        return found == numbers_.end() ? nullptr : &books_[found->second];
    }

    Refusal apply(const MarketRecord& record) {
        switch (record.kind) {
            case 4:
                return add(record);
            case 6:
            case 7:
                return reduce(record);
            case 8:
                clear(record.instrument);
                break;
            default:
                return Refusal::NONE;
        }
        ++applied;
        return Refusal::NONE;
    }

private:
    Refusal add(const MarketRecord& record) {
        if (record.size < 0) return Refusal::WRONG_SIZE;
        uint8_t side = record.side;
        if (side == SIDE_NONE) {
            // The second half of a replacement: the order that has just left goes on here, on its side.
            if (replaced_sequence_ != record.sequence || replaced_side_ == SIDE_NONE) {
                ++unknown_orders;
                ++applied;
                return Refusal::NONE;
            }
            side = replaced_side_;
            replaced_side_ = SIDE_NONE;
        } else if (side > SIDE_SELL) {
            return Refusal::WRONG_SIDE;
        }
        RestingOrder* place = table_.slot(record.order_id);
        if (place->size != 0) {
            ++repeated_orders;
            remove(place);
            place = table_.slot(record.order_id);  // others may have moved into the hole
        }
        ++applied;
        if (record.size == 0) return Refusal::NONE;
        const uint32_t book = book_of(record.instrument);
        *place = RestingOrder{record.order_id, record.price, record.size, book, side};
        table_.kept();
        std::vector<OrderLevel>& levels = books_[book].of(side);
        const int64_t key = key_of(side, record.price);
        const size_t index = first_not_below(levels, key);
        if (has_key(levels, index, key)) {
            levels[index].size += record.size;
            ++levels[index].orders;
        } else {
            insert_level(levels, index, OrderLevel{key, record.size, 1});
        }
        return Refusal::NONE;
    }

    Refusal reduce(const MarketRecord& record) {
        if (record.size < 0) return Refusal::WRONG_SIZE;
        ++applied;
        RestingOrder* order = table_.find(record.order_id);
        const bool replaced = record.kind == 6 && !(record.flags & FLAG_LAST);
        if (replaced) {
            replaced_side_ = order ? order->side : static_cast<uint8_t>(SIDE_NONE);
            replaced_sequence_ = record.sequence;
        }
        if (order == nullptr) {
            ++unknown_orders;
            return Refusal::NONE;
        }
        const bool whole = record.kind == 6 && record.size == 0;
        if (!whole && record.size > order->size) ++excess_sizes;
        if (whole || record.size >= order->size) {
            remove(order);
        } else {
            std::vector<OrderLevel>& levels = books_[order->book].of(order->side);
            levels[first_not_below(levels, key_of(order->side, order->price))].size -= record.size;
            order->size -= record.size;
        }
        return Refusal::NONE;
    }

    void remove(RestingOrder* order) {
        std::vector<OrderLevel>& levels = books_[order->book].of(order->side);
        const size_t index = first_not_below(levels, key_of(order->side, order->price));
        levels[index].size -= order->size;
        if (--levels[index].orders == 0) erase_level(levels, index);
        table_.erase(order);
    }

    void clear(uint32_t instrument) {
        auto found = numbers_.find(instrument);
        if (found == numbers_.end()) return;
        for (uint64_t id : table_.ids_of(found->second)) remove(table_.find(id));
    }

    uint32_t book_of(uint32_t instrument) {
        if (!books_.empty() && books_[latest_].instrument == instrument) return latest_;
        auto found = numbers_.find(instrument);
        if (found == numbers_.end()) {
            found = numbers_.emplace(instrument, static_cast<uint32_t>(books_.size())).first;
            books_.push_back(LevelSides{instrument, {}});
        }
        return latest_ = found->second;
    }

    OrderTable table_;
    std::vector<LevelSides> books_;
    std::unordered_map<uint32_t, uint32_t> numbers_;
    uint32_t latest_ = 0;
    uint64_t replaced_sequence_ = 0;
    uint8_t replaced_side_ = SIDE_NONE;
};

}  // namespace tradewind

#endif
