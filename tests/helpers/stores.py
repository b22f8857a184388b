"""A real S3 server in this process, and a line to it that breaks."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

BUCKET = "images"


class Store:
    """A server, and how to fill it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def call(self, path: str, method: str = "GET", data: bytes | None = None) -> bytes:
        headers = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    def reset(self) -> None:
        self.call("/moto-api/reset", "POST", b"")
        self.call(f"/{BUCKET}", "PUT")

    def put(self, folder: Path, prefix: str = "set") -> str:
        """Put the files of a folder there; returns what ``data.root`` is."""
        import s3fs

        address = f"http://127.0.0.1:{self.port}"
        fs = s3fs.S3FileSystem(key="key", secret="secret", endpoint_url=address, skip_instance_cache=True)
        for file in folder.rglob("*"):
            if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts):
                name = f"{BUCKET}/{prefix}/{file.relative_to(folder)}"
                fs.pipe_file(name, file.read_bytes(), ACL="public-read")
        return f"s3://{BUCKET}/{prefix}"


@contextmanager
def serving() -> Iterator[Store]:
    server_of = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield Store(server.get_host_and_port()[1])
    finally:
        server.stop()


def endpoint(monkeypatch: Any, port: int) -> None:
    """Let S3 be at a port of this machine, with credentials."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",  # s3fs tries often enough
    }.items():
        monkeypatch.setenv(name, value)


class BreakingLine:
    """A proxy that lets ``bytes`` pass from the server, then cuts every connection; ``times`` of them."""

    def __init__(self, to: int, passing: int, times: int) -> None:
        self.to, self.passing, self.left, self.cut = to, passing, times, 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self.to)) as server:
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
            passed = 0
            while data := server.recv(4096):
                passed += len(data)
                if passed > self.passing and self.left > 0:
                    self.left -= 1
                    self.cut += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
