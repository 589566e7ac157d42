"""Has 200 texts and one large message echoed, pings, and closes."""

import asyncio
import sys

import websockets


async def main(url):
    async with websockets.connect(url) as socket:
        for n in range(200):
            await socket.send(str(n))
            assert await socket.recv() == str(n)
        large = bytes(range(250)) * 3600
        await socket.send(large)
        assert await socket.recv() == large
        await (await socket.ping())
    print("closed", socket.close_code)


asyncio.run(main(sys.argv[1]))
