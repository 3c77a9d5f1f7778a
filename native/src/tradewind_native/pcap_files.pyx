# distutils: language = c++
"""UDP datagrams of pcap and pcapng files, through libpcap. Meaning: the stub beside it."""

import os
from collections import namedtuple

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from tradewind_native.pcap_error import PcapError

Datagram = namedtuple("Datagram", "ts_recv address port payload")
PacketCounts = namedtuple("PacketCounts", "packets datagrams other fragments truncated malformed")


cdef extern from "<sys/time.h>" nogil:
    struct timeval:
        int64_t tv_sec
        int64_t tv_usec


cdef extern from "<pcap/pcap.h>" nogil:
    ctypedef struct pcap_t:
        pass

    struct pcap_pkthdr:
        timeval ts
        uint32_t caplen
        uint32_t len

    enum:
        PCAP_ERRBUF_SIZE
        PCAP_TSTAMP_PRECISION_NANO

    pcap_t *pcap_open_offline_with_tstamp_precision(const char *name, unsigned int precision, char *errbuf)
    int pcap_next_ex(pcap_t *handle, pcap_pkthdr **header, const uint8_t **data)
    int pcap_datalink(pcap_t *handle)
    const char *pcap_datalink_val_to_name(int link)
    char *pcap_geterr(pcap_t *handle)
    void pcap_close(pcap_t *handle)


cdef extern from "tradewind_native/udp_packets.hpp" namespace "tradewind" nogil:
    enum class PacketVerdict(int):
        udp
        other
        fragment
        truncated
        malformed

    struct UdpPayload:
        const uint8_t *payload
        uint32_t size
        uint32_t port
        const uint8_t *address
        uint32_t address_size

    bint link_is_read(int link)
    PacketVerdict find_udp(const uint8_t *data, size_t captured, size_t length, int link, UdpPayload &out)


cdef int64_t NS_PER_S = 1_000_000_000
cdef int64_t LAST_S = 9_223_372_035
cdef size_t MOST_BYTES = 4 * 1024 * 1024


cdef class PcapFile:
    cdef pcap_t *_handle
    cdef int _link
    cdef bint _ended
    cdef object _error
    cdef str _path
    cdef uint64_t _packets
    cdef uint64_t _verdicts[5]

    def __cinit__(self, str path):
        cdef char reason[PCAP_ERRBUF_SIZE]
        reason[0] = 0
        self._path = path
        # libpcap takes "-" for the standard input; an absolute path never is that.
        name = os.fsencode(os.path.abspath(path))
        if b"\0" in name:
            raise PcapError(f"{path!r} is no file name")
        cdef const char *c_name = name
        with nogil:
            self._handle = pcap_open_offline_with_tstamp_precision(c_name, PCAP_TSTAMP_PRECISION_NANO, reason)
        if self._handle == NULL:
            raise PcapError(f"{path}: {reason.decode('utf-8', 'replace')}")
        self._link = pcap_datalink(self._handle)
        if not link_is_read(self._link):
            found = pcap_datalink_val_to_name(self._link)
            link = f"{self._link}" if found == NULL else found.decode("utf-8", "replace")
            raise PcapError(f"{path}: packets of link type {link} are not read; Ethernet, Linux cooked and raw IP are")

    def __dealloc__(self):
        if self._handle != NULL:
            pcap_close(self._handle)

    @property
    def counts(self):
        return PacketCounts(self._packets, *[self._verdicts[index] for index in range(5)])

    def close(self):
        if self._handle != NULL:
            pcap_close(self._handle)
            self._handle = NULL

    def read(self, int packets=1024):
        cdef list found = []
        cdef size_t used = 0
        if packets < 1:
            raise ValueError(f"read at least one packet, not {packets}")
        while not found and not self._ended:
            if self._handle == NULL:
                raise PcapError(f"{self._path} is closed")
            used = self._take(found, packets, used)
        if not found and self._error is not None:
            raise PcapError(self._error)
        return found

    cdef size_t _take(self, list found, int packets, size_t used):
        cdef pcap_pkthdr *header
        cdef const uint8_t *data
        cdef UdpPayload datagram
        cdef PacketVerdict verdict
        cdef int status
        for _ in range(packets):
            status = pcap_next_ex(self._handle, &header, &data)
            if status != 1:
                self._end(status)
                break
            self._packets += 1
            verdict = find_udp(data, header.caplen, header.len, self._link, datagram)
            if header.ts.tv_sec < 0 or header.ts.tv_sec > LAST_S or not 0 <= header.ts.tv_usec < NS_PER_S:
                verdict = PacketVerdict.malformed
            self._verdicts[<int>verdict] += 1
            if verdict != PacketVerdict.udp:
                continue
            found.append(Datagram(
                header.ts.tv_sec * NS_PER_S + header.ts.tv_usec,
                datagram.address[:datagram.address_size],
                datagram.port,
                datagram.payload[:datagram.size],
            ))
            used += datagram.size
            if used >= MOST_BYTES:
                break
        return used

    cdef int _end(self, int status) except -1:
        self._ended = True
        if status == -1:
            reason = pcap_geterr(self._handle).decode("utf-8", "replace")
            self._error = f"{self._path} cannot be read after packet {self._packets}: {reason}"
        return 0
