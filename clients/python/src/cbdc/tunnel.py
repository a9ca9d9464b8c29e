"""A way to nodes whose certificate has an Ed25519 key, which gRPC's own TLS (BoringSSL) refuses.

gRPC speaks to a Unix socket in a folder that only this user can enter; what comes there goes to the node over TLS by
Python's `ssl` (OpenSSL). The node's key is compared with genesis on every connection, before a byte is passed on.
Nodes with other certificates are reached directly.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

_CHUNK_BYTES = 256 * 1024


class Tunnel:
    """Serves `target` until it is closed. `is_trusted` judges a certificate in DER."""

    def __init__(self, host: str, port: int, is_trusted: Callable[[bytes], bool]) -> None:
        self._host, self._port, self._is_trusted = host, port, is_trusted
        self._folder = tempfile.TemporaryDirectory(prefix="cbdc-")
        self._path = Path(self._folder.name) / "node"
        self.target = f"unix:{self._path}"
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cbdc-tunnel", daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_unix_server(self._connect, self._path))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            node = await asyncio.open_connection(
                self._host, self._port, ssl=client_context(), server_hostname="localhost", limit=_CHUNK_BYTES
            )
        except OSError:
            writer.close()
            return
        channel = node[1].get_extra_info("ssl_object")
        if not self._is_trusted(channel.getpeercert(binary_form=True) or b""):
            node[1].close()
            writer.close()
            return
        try:
            await asyncio.gather(_pump(reader, node[1]), _pump(node[0], writer))
        except asyncio.CancelledError:
            pass  # the tunnel is closed, and nobody asks this task for its result

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._folder.cleanup()


def client_context() -> ssl.SSLContext:
    """TLS that asks no authority: the caller compares the node's key, whose possession the handshake has proved."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
