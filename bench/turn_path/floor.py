"""The floor: a loop on asyncio pipes with orjson that knows just enough of the protocol to be
measured. No SDK, no checks, no work.
"""

import asyncio
import os

import orjson

TOOL = {"name": "echo", "inputSchema": {"type": "object"}}


def answer(message: dict[str, object]) -> object:
    method = message["method"]
    if method == "initialize":
        return {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "floor", "version": "0"},
        }
    if method == "tools/list":
        return {"tools": [TOOL]}
    return {"content": [{"type": "text", "text": "ok"}]}


async def main() -> None:
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    rest = b""
    os.set_blocking(0, False)

    def on_readable() -> None:
        nonlocal rest
        data = os.read(0, 65_536)
        if not data:
            loop.remove_reader(0)
            ended.set_result(None)
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            message = orjson.loads(line)
            if "id" in message:
                result = {"jsonrpc": "2.0", "id": message["id"], "result": answer(message)}
                os.write(1, orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE))

    loop.add_reader(0, on_readable)
    await ended


asyncio.run(main())
