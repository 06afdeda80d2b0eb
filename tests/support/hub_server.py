"""A local stand-in of the hub's API for uploads: repositories, preupload, LFS and commits."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HubState:
    """What the stand-in has stored, and how it misbehaves.

    Attributes:
        files: Content by path of the one repository.
        commits: Number of commits.
        private: Whether the repository was created private; None before.
        breaks: Number of the next requests whose connection is cut.
        status: Status of every answer instead of the right one; 0 for the right one.
        unknown: Paths that the stand-in does not know.
        tokens: Authorisation headers that were sent.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.large: dict[str, bytes] = {}
        self.commits = 0
        self.private: bool | None = None
        self.breaks = 0
        self.status = 0
        self.unknown: list[str] = []
        self.tokens: set[str | None] = set()


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    state: HubState
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().strip(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _reply(self, content: object, status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _handle(self) -> None:
        body = self._body()
        state = self.state
        state.tokens.add(self.headers.get("Authorization"))
        if state.breaks > 0:
            state.breaks -= 1
            self.close_connection = True
            self.connection.close()
        elif state.status:
            self._reply({"error": "no"}, state.status)
        else:
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        state = self.state
        place = f"http://{self.headers['Host']}"
        if self.path == "/api/repos/create":
            if state.private is not None:
                self._reply({"error": "exists", "url": f"{place}/me/net"}, 409)
                return
            asked = json.loads(body)
            state.private = bool(asked.get("private")) or asked.get("visibility") == "private"
            self._reply({"url": f"{place}/me/net", "id": "me/net"})
        elif self.path == "/api/validate-yaml":
            self._reply({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            self._reply({"files": [self._preupload(item) for item in json.loads(body)["files"]]})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = [self._batch(item, place) for item in json.loads(body)["objects"]]
            self._reply({"transfer": "basic", "objects": objects})
        elif self.path.startswith("/lfs/"):
            state.large[self.path.removeprefix("/lfs/")] = body
            self._reply({})
        elif "/commit/" in self.path:
            self._commit(body)
            self._reply({"commitUrl": f"{place}/me/net/commit/{state.commits:040x}",
                         "commitOid": f"{state.commits:040x}", "success": True})  # fmt: skip
        elif self.path.startswith("/api/models/"):
            self._reply({"id": "me/net", "sha": f"{state.commits:040x}", "siblings": []})
        else:
            state.unknown.append(self.path)
            self._reply({"error": self.path}, 404)

    do_GET = do_POST = do_PUT = _handle  # noqa: N815 (the library's names)

    def _preupload(self, item: dict) -> dict:
        path = item["path"]
        large = path.endswith((".safetensors", ".onnx"))
        content = self.state.files.get(path)
        oid = None
        if content is not None:
            oid = hashlib.sha256(content).hexdigest() if large else git_oid(content)
        mode = "lfs" if large else "regular"
        return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _batch(self, item: dict, place: str) -> dict:
        actions = {"upload": {"href": f"{place}/lfs/{item['oid']}"}}
        return {**item, **({} if item["oid"] in self.state.large else {"actions": actions})}

    def _commit(self, body: bytes) -> None:
        state = self.state
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                state.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                state.files[value["path"]] = state.large[value["oid"]]
        state.commits += 1


@contextmanager
def hub_server() -> Iterator[tuple[str, HubState]]:
    """Serves the stand-in on a free port; yields its address and its state."""
    state = HubState()
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
