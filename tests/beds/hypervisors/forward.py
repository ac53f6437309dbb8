#!/usr/bin/env python3
"""Forward TCP connections: forward.py LISTEN_ADDRESS TARGET_ADDRESS PORT...

Each PORT of LISTEN_ADDRESS leads to the same port of TARGET_ADDRESS. The control plane listens on
loopback only. One of these on this machine and one on each host make its ports appear on each
host's own loopback, by way of the hosts' network: cut that, and they are gone.
"""

import asyncio
import contextlib
import sys

CONNECT_SECONDS = 10.0


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()


async def serve(listen: str, target: str, port: int) -> asyncio.Server:
    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            connecting = asyncio.open_connection(target, port)
            far_reader, far_writer = await asyncio.wait_for(connecting, CONNECT_SECONDS)
        except (OSError, TimeoutError):
            writer.close()
            return
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    return await asyncio.start_server(accepted, listen, port)


async def main() -> None:
    listen, target, *ports = sys.argv[1:]
    servers = [await serve(listen, target, int(port)) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
