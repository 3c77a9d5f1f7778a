"""The error of the reader of packet captures; it loads without libpcap."""


class PcapError(ValueError):
    """A packet capture that cannot be read, or not any further; the packets before the damage were given."""
