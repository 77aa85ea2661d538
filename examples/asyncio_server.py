"""A server of many clients with one segmenter. Usage: python examples/asyncio_server.py MODEL.onnx PORT

A client sends a line "HEIGHT WIDTH" and HEIGHT x WIDTH x 3 bytes of RGB, and gets HEIGHT x WIDTH labels.
"""

import asyncio
import sys

import numpy as np

import rtseg


async def serve(segmenter: rtseg.Segmenter, port: int) -> asyncio.AbstractServer:
    """Return a server that answers on 127.0.0.1. Each frame takes a thread of the loop's own pool."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                height, width = map(int, line.split())
                image = np.frombuffer(await reader.readexactly(height * width * 3), np.uint8)
                writer.write((await asyncio.to_thread(segmenter, image.reshape(height, width, 3))).tobytes())
                await writer.drain()
        except (ValueError, asyncio.IncompleteReadError, ConnectionError, rtseg.RtsegError) as error:
            print(f"a client was left: {error}", file=sys.stderr)
        finally:
            writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", port)


async def main(model: str, port: int) -> None:
    """Serve until the program is stopped."""
    with rtseg.load(model, threads=1) as segmenter:
        await (await serve(segmenter, port)).serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]))) if len(sys.argv) > 2 else sys.exit(__doc__)
