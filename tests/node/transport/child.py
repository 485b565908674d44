"""A node that answers every frame with the same frame: child.py <name> <listen> <heartbeat_s>."""

import sys

import trio

from troth_node.transport.network import Frame, Network, Settings


async def main(name: str, listen: str, heartbeat_s: str) -> None:
    network = Network(name.encode().ljust(32, b"."), listen, Settings(heartbeat_s=float(heartbeat_s)))
    async with network.run():
        print(network.public.hex(), network.addresses[0], flush=True)  # noqa: T201 - this is how it is found
        while True:
            for event in await network.next_events():
                if isinstance(event, Frame):
                    network.send(event.peer, event.payload)


trio.run(main, *sys.argv[1:])
