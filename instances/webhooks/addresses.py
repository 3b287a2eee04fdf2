"""Where requests to addresses that others chose may go: nowhere private, unless a setting names the network. Plain Python.

The name is resolved once and every address it has is judged; the connection then goes to a judged address itself, so that
a name that resolves differently a moment later changes nothing.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], list[str]]

LONGEST_URL = 2000
_PORTS = {"http": 80, "https": 443}
_LOWEST_FREE_PORT = 1024  # below it live the services of machines, not receivers
_SAFE = "/?&=%:@!$'()*+,;~[]"
# Beside what Python's own tables call not global.
_REFUSED = {
    ipaddress.ip_network("168.63.129.16/32"): "a cloud's metadata address",
    ipaddress.ip_network("100.64.0.0/10"): "a provider's inner address",
    ipaddress.ip_network("192.0.0.0/24"): "a special address",
    ipaddress.ip_network("192.88.99.0/24"): "a 6to4 relay",
    ipaddress.ip_network("64:ff9b::/96"): "an IPv4 address translated to IPv6",
    ipaddress.ip_network("64:ff9b:1::/48"): "an IPv4 address translated to IPv6",
    ipaddress.ip_network("2002::/16"): "a 6to4 address",
    ipaddress.ip_network("2001::/23"): "a special address",
    ipaddress.ip_network("::/96"): "an IPv4-compatible address",
    ipaddress.ip_network("fec0::/10"): "a site-local address",
}


class AddressRefused(ValueError):
    """Its text says why and names the remedy; never a path or a query."""


class PrivateAddress(AddressRefused):
    """It can be read, and leads where nothing may be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """An http address taken apart. `host` is as a resolver takes it, `authority` as the Host header does."""

    scheme: str
    host: str
    port: int
    authority: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    url: Url
    address: str  # the one that was judged


def parse(text: str) -> Url:
    """Raises AddressRefused for what is no plain http or https address."""
    if len(text) > LONGEST_URL or any(ord(one) <= 32 or ord(one) == 127 or one == "\\" for one in text):
        raise AddressRefused("the address has spaces, control characters or backslashes, or is too long")
    try:
        parts = urlsplit(text)
        port = parts.port if parts.port is not None else _PORTS.get(parts.scheme, 0)
        host = (parts.hostname or "").rstrip(".")
        ascii_host = host if ":" in host else host.encode("idna").decode()
    except (ValueError, UnicodeError):
        raise AddressRefused("the address cannot be read") from None
    if parts.scheme not in _PORTS:
        raise AddressRefused("write an address that begins with http:// or https://")
    if "@" in parts.netloc:
        raise AddressRefused("the address must not hold a user or a password")
    if not ascii_host or "%" in ascii_host:
        raise AddressRefused("the address names no host")
    if port != _PORTS[parts.scheme] and port < _LOWEST_FREE_PORT and port not in _PORTS.values():
        raise AddressRefused(f"port {port} is kept for other services: use 80, 443 or one from {_LOWEST_FREE_PORT} on")
    shown = f"[{ascii_host}]" if ":" in ascii_host else ascii_host
    return Url(
        scheme=parts.scheme,
        host=ascii_host,
        port=port,
        authority=shown if port == _PORTS[parts.scheme] else f"{shown}:{port}",
        path=quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_SAFE),
    )


def origin(text: str) -> str:
    """Scheme, host and port: what may be shown to whoever must not know the rest. "mailto:" stays as it is."""
    try:
        url = parse(text)
    except AddressRefused:
        return text if text.startswith("mailto:") else ""
    return f"{url.scheme}://{url.authority}"


def refusal(address: Address, allowed: Sequence[Network]) -> str:
    """Why nothing may be sent there, or ""."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if mapped is not None:
        return refusal(mapped, allowed)
    if any(address in network for network in allowed if network.version == address.version):
        return ""
    what = _kind(address)
    if not what:
        return ""
    return f"{address} is {what}: where that is meant, name its network in WEBHOOK_ALLOWED_NETWORKS"


def _kind(address: Address) -> str:
    """What is wrong with it, the most telling first; "" for an address of the public internet."""
    named = next((what for network, what in _REFUSED.items() if address in network), "")
    kinds = (
        (address.is_unspecified, "no address of a machine"),
        (address.is_loopback, "this machine itself"),
        (address.is_link_local, "a link-local or metadata address"),
        (bool(named), named),
        (address.is_multicast, "a multicast address"),
        (address.is_private, "a private address"),
        (address.is_reserved or not address.is_global, "a reserved address"),
    )
    return next((what for holds, what in kinds if holds), "")


def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, the forms of IPv4 that only old resolvers know among them. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def destination(text: str, *, allowed: Sequence[Network], resolver: Resolver = resolve) -> Destination:
    """Where a request may go, resolved and judged. Raises AddressRefused; OSError where the name has no address."""
    url = parse(text)
    addresses = resolver(url.host, url.port)
    if not addresses:
        raise OSError("its name has no address")
    for address in addresses:
        why = refusal(ipaddress.ip_address(address), allowed)
        if why:
            raise PrivateAddress(why)
    return Destination(url=url, address=addresses[0])


def refuse_literal(text: str, *, allowed: Sequence[Network]) -> None:
    """As `destination` for an address that names no name, without a look-up: what can be said at once."""
    url = parse(text)
    if url.host == "localhost" or url.host.endswith(".localhost"):
        address: Address = ipaddress.ip_address("127.0.0.1")
    else:
        try:
            address = ipaddress.ip_address(url.host)
        except ValueError:
            try:
                address = ipaddress.IPv4Address(socket.inet_aton(url.host))
            except OSError:
                return
    why = refusal(address, allowed)
    if why:
        raise PrivateAddress(why)
