"""mDNS: nodes of one network on one LAN find each other without being told. Off unless it is asked for.

What a LAN says is believed by nobody: it leads to a dial, and the handshake proves the key. The library has threads of
its own; what it finds is handed over to the node's task before anybody looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Final, NamedTuple

import trio
from zeroconf import (  # type: ignore[attr-defined] # the last one is public, though not listed
    NotRunningException,
    ServiceBrowser,
    ServiceInfo,
    ServiceStateChange,
    Zeroconf,
    get_all_addresses,
)

from troth_node.transport.address import PUBLIC_KEY_BYTES, parse_address

SERVICE: Final = "_troth._tcp.local."
#: Nodes that are taken from one LAN.
FOUND_MAX: Final = 32
_ASK_MS: Final = 1_000
_NAME_BYTES: Final = 16


class Found(NamedTuple):
    """A node that a LAN told of: its key, and a multiaddr."""

    key: bytes
    address: str


class Ears:
    """What was heard: each other node of the network once, no more than `FOUND_MAX`."""

    def __init__(self, network: bytes, public: bytes, on_found: Callable[[Found], None]) -> None:
        self._network = network
        self._on_found = on_found
        self._seen = {public}

    def hear(self, info: ServiceInfo) -> None:
        """Somebody said something; what makes no sense is passed over."""
        found = read_info(info, self._network)
        if found is not None and found.key not in self._seen and len(self._seen) <= FOUND_MAX:
            self._seen.add(found.key)
            self._on_found(found)


async def serve_mdns(network: bytes, public: bytes, listen: str, on_found: Callable[[Found], None]) -> None:
    """Until cancelled: say where this node listens, and call `on_found` once for each other node of the network.

    `listen` is the multiaddr that is really bound: on loopback nothing leaves the machine. Raises OSError if there is
    no interface to speak on.
    """
    own = _own_addresses(listen)
    speaker = await trio.to_thread.run_sync(partial(Zeroconf, interfaces=own))
    try:
        info = make_info(network, public, own, parse_address(listen).port)
        await trio.to_thread.run_sync(speaker.register_service, info)
        hear = Ears(network, public, on_found).hear
        handler = partial(_changed, trio.lowlevel.current_trio_token(), hear)
        await trio.to_thread.run_sync(partial(ServiceBrowser, speaker, SERVICE, handlers=[handler]))
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(speaker.close)


def _changed(
    token: trio.lowlevel.TrioToken,
    hear: Callable[[ServiceInfo], None],
    zeroconf: Zeroconf,
    service_type: str,
    name: str,
    state_change: ServiceStateChange,
) -> None:
    """In the library's thread: a node has come, changed or gone."""
    if state_change is ServiceStateChange.Removed:
        return
    with suppress(NotRunningException, trio.RunFinishedError):
        info = zeroconf.get_service_info(service_type, name, _ASK_MS)
        if info is not None:
            token.run_sync_soon(hear, info)


def make_info(network: bytes, public: bytes, addresses: Iterable[str], port: int) -> ServiceInfo:
    """What a node says on its LAN: network, key, addresses and port."""
    name = public.hex()[: 2 * _NAME_BYTES]
    return ServiceInfo(
        SERVICE,
        f"{name}.{SERVICE}",
        addresses=[ip_address(address).packed for address in addresses],
        port=port,
        properties={"network": network.hex(), "key": public.hex()},
        server=f"{name}.local.",
    )


def read_info(info: ServiceInfo, network: bytes) -> Found | None:
    """The node that is spoken of, if it is of this network and can be dialled."""
    said = info.properties
    key_hex, addresses = said.get(b"key"), info.addresses
    if said.get(b"network") != network.hex().encode() or key_hex is None or not addresses or not info.port:
        return None
    try:
        key = bytes.fromhex(key_hex.decode("ascii"))
    except ValueError:
        return None
    if len(key) != PUBLIC_KEY_BYTES:
        return None
    return Found(key, f"/ip4/{ip_address(addresses[0])}/tcp/{info.port}")


def _own_addresses(listen: str) -> list[str]:
    """The addresses to speak on: that of the listening socket, or those of all interfaces but loopback."""
    target = parse_address(listen)
    if target.host != "0.0.0.0":  # noqa: S104 - it is looked for, not bound
        return [target.host]
    return [address for address in get_all_addresses() if not ip_address(address).is_loopback]
