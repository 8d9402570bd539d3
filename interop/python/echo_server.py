"""An echo server by Python's `websockets`, for our client to try.

Usage: echo_server.py --compression on|off --protocol NAME [--cert PEM --key PEM]
Prints `listening PORT` and, per connection that ended, `closed CODE REASON`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ssl
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


async def echo(connection: ServerConnection) -> None:
    # `?close=CODE&reason=TEXT`: the server closes at once, for a client that wants to see that.
    query = parse_qs(urlsplit(connection.request.path).query)
    if "close" in query:
        await connection.close(int(query["close"][0]), query.get("reason", [""])[0])
    with contextlib.suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)
    await connection.wait_closed()
    print(f"closed {connection.close_code} {connection.close_reason}", flush=True)


async def main() -> None:
    arguments = argparse.ArgumentParser()
    for name in ("--compression", "--protocol", "--cert", "--key"):
        arguments.add_argument(name)
    options = arguments.parse_args()
    context = None
    if options.cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.cert, options.key)
    async with serve(
        echo,
        "127.0.0.1",
        0,
        ssl=context,
        compression="deflate" if options.compression == "on" else None,
        # Unlike npm ws, this one refuses a client that offers none of the server's; None accepts it.
        select_subprotocol=lambda _, offered: (
            options.protocol if options.protocol in offered else None
        ),
        max_size=64 * 1024 * 1024,
    ) as server:
        print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


asyncio.run(main())
