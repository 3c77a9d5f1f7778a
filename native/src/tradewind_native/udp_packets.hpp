// Finds the UDP payload in a captured packet: Ethernet with VLAN tags, Linux "cooked" and raw IP; IPv4 and IPv6.
//
// Sources: IEEE 802.3 and 802.1Q, RFC 791 (IPv4), RFC 8200 (IPv6), RFC 768 (UDP), libpcap's list of link types.
// Every read is checked against what was captured; nothing is read behind it, whatever the lengths inside say.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tradewind {

enum class PacketVerdict : int { udp = 0, other = 1, fragment = 2, truncated = 3, malformed = 4 };

struct UdpPayload {
    const uint8_t *payload;
    uint32_t size;
    uint32_t port;
    const uint8_t *address;  // the destination's
    uint32_t address_size;   // 4 or 16
};

constexpr int link_ethernet = 1, link_raw = 101, link_raw_bsd = 12, link_sll = 113, link_ipv4 = 228,
              link_ipv6 = 229, link_sll2 = 276;
constexpr int most_tags = 4;         // VLAN tags in one another
constexpr int most_extensions = 8;   // IPv6 extension headers

inline bool link_is_read(int link) noexcept {
    return link == link_ethernet || link == link_raw || link == link_raw_bsd || link == link_sll ||
           link == link_ipv4 || link == link_ipv6 || link == link_sll2;
}

inline uint32_t be16(const uint8_t *at) noexcept { return uint32_t(at[0]) << 8 | at[1]; }

class PacketCursor {
  public:
    PacketCursor(const uint8_t *data, size_t captured, size_t length) noexcept
        : at_(data), left_(captured), cut_(captured < length) {}

    // What a packet is that ends too early: cut by the capture, or wrong in itself.
    PacketVerdict too_short() const noexcept { return cut_ ? PacketVerdict::truncated : PacketVerdict::malformed; }
    bool has(size_t bytes) const noexcept { return left_ >= bytes; }
    const uint8_t *at() const noexcept { return at_; }
    void skip(size_t bytes) noexcept { at_ += bytes; left_ -= bytes; }

  private:
    const uint8_t *at_;
    size_t left_;
    bool cut_;
};

inline PacketVerdict read_udp(PacketCursor &in, UdpPayload &out) noexcept {
    if (!in.has(8)) return in.too_short();
    const uint32_t size = be16(in.at() + 4);
    if (size < 8) return PacketVerdict::malformed;
    if (!in.has(size)) return in.too_short();
    out.port = be16(in.at() + 2);
    out.payload = in.at() + 8;
    out.size = size - 8;
    return PacketVerdict::udp;
}

inline PacketVerdict read_ipv4(PacketCursor &in, UdpPayload &out) noexcept {
    if (!in.has(20)) return in.too_short();
    const uint8_t *head = in.at();
    const size_t header = size_t(head[0] & 0x0f) * 4;
    if (head[0] >> 4 != 4 || header < 20) return PacketVerdict::malformed;
    if (head[9] != 17) return PacketVerdict::other;
    if (be16(head + 6) & 0x3fff) return PacketVerdict::fragment;  // more fragments, or an offset
    if (!in.has(header)) return in.too_short();
    out.address = head + 16;
    out.address_size = 4;
    in.skip(header);
    return read_udp(in, out);
}

inline PacketVerdict read_ipv6(PacketCursor &in, UdpPayload &out) noexcept {
    if (!in.has(40)) return in.too_short();
    const uint8_t *head = in.at();
    if (head[0] >> 4 != 6) return PacketVerdict::malformed;
    int next = head[6];
    out.address = head + 24;
    out.address_size = 16;
    in.skip(40);
    for (int extensions = 0; extensions <= most_extensions; ++extensions) {
        if (next == 17) return read_udp(in, out);
        if (next != 0 && next != 43 && next != 44 && next != 60) return PacketVerdict::other;
        if (!in.has(8)) return in.too_short();
        // An offset or more fragments; a fragment header without either is a whole packet (RFC 6946).
        if (next == 44 && (be16(in.at() + 2) & 0xfff9)) return PacketVerdict::fragment;
        const size_t size = next == 44 ? 8 : (size_t(in.at()[1]) + 1) * 8;
        if (!in.has(size)) return in.too_short();
        next = in.at()[0];
        in.skip(size);
    }
    return PacketVerdict::malformed;
}

inline PacketVerdict read_network(PacketCursor &in, uint32_t protocol, UdpPayload &out) noexcept {
    for (int tags = 0; protocol == 0x8100 || protocol == 0x88a8 || protocol == 0x9100; ++tags) {
        if (tags == most_tags) return PacketVerdict::malformed;
        if (!in.has(4)) return in.too_short();
        protocol = be16(in.at() + 2);
        in.skip(4);
    }
    if (protocol == 0x0800) return read_ipv4(in, out);
    if (protocol == 0x86dd) return read_ipv6(in, out);
    return PacketVerdict::other;
}

// The UDP payload of one packet of a link type for which link_is_read.
inline PacketVerdict find_udp(const uint8_t *data, size_t captured, size_t length, int link, UdpPayload &out) noexcept {
    PacketCursor in(data, captured, length);
    size_t header = 0, protocol_at = 0;
    switch (link) {
        case link_ethernet: header = 14; protocol_at = 12; break;
        case link_sll: header = 16; protocol_at = 14; break;
        case link_sll2: header = 20; protocol_at = 0; break;
        default: break;
    }
    if (header) {
        if (!in.has(header)) return in.too_short();
        const uint32_t protocol = be16(in.at() + protocol_at);
        in.skip(header);
        return read_network(in, protocol, out);
    }
    if (!in.has(1)) return in.too_short();
    return in.at()[0] >> 4 == 6 ? read_ipv6(in, out) : read_ipv4(in, out);
}

}  // namespace tradewind
