// Captured packets: the UDP payload within, and the MoldUDP64 blocks within that. Two bytes choose the link type and how
// much longer the packet was than what was captured of it.
#include "exact_copy.hpp"
#include "tradewind_native/itch_messages.hpp"
#include "tradewind_native/udp_packets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    constexpr int LINKS[] = {tradewind::link_ethernet, tradewind::link_raw, tradewind::link_raw_bsd, tradewind::link_sll,
                             tradewind::link_ipv4, tradewind::link_ipv6, tradewind::link_sll2};
    const int link = LINKS[data[0] % 7];
    const ExactCopy packet(data + 2, size - 2);
    tradewind::UdpPayload found{};
    const auto verdict = tradewind::find_udp(packet.begin(), packet.size(), packet.size() + data[1] % 4, link, found);
    if (verdict != tradewind::PacketVerdict::udp) return 0;
    must(found.payload >= packet.begin() && found.payload + found.size <= packet.end());
    must(found.address >= packet.begin() && found.address + found.address_size <= packet.end());
    constexpr size_t MOLD_HEADER = 20;
    if (found.size > MOLD_HEADER) tradewind::itch::blocks_in(found.payload + MOLD_HEADER, found.payload + found.size);
    return 0;
}
