"""One spelling per client address: limits, /metrics and the PHI access record compare addresses as text. Pure."""

from ipaddress import IPv6Address, ip_address


def canonical(text: str) -> str | None:
    """The address compressed, an IPv4 address in IPv6's clothes (`::ffff:192.0.2.7`) as what it is, without a zone; None for
    what is no address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return address.compressed
