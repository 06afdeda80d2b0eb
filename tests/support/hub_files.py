"""A local stand-in of the hub for downloads: repositories with revisions, gates and tokens."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


@dataclass
class HubFiles:
    """What the stand-in serves, and what it was asked.

    Attributes:
        commits: Folder of each commit of the one repository `me/faces`.
        refs: Commit by branch or tag.
        token: Access token that the repository needs; empty for a public one.
        gated: Whether its owner must permit access.
        sent: Paths of the files that were sent.
        tokens: Authorisation headers of the requests.
    """

    commits: dict[str, Path] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    token: str = ""
    gated: bool = False
    sent: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)


class _Handler(BaseHTTPRequestHandler):
    hub: HubFiles
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _reply(self, data: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def _refuse(self, code: str, status: int) -> None:
        self._reply(b"{}", status, X_Error_Code=code, X_Error_Message=code)

    def _answer(self) -> None:
        hub, path = self.hub, self.path.partition("?")[0]
        given = self.headers.get("Authorization")
        hub.tokens.add(given)
        if "me/faces" not in path or (hub.token and given != f"Bearer {hub.token}"):
            self._refuse("RepoNotFound", 401)
            return
        if hub.gated:
            self._refuse("GatedRepo", 403)
            return
        if path.startswith("/api/models/me/faces"):
            what, _, revision = path.removeprefix("/api/models/me/faces/").partition("/")
            self._describe(what, unquote(revision) or "main")
        else:
            revision, _, name = path.removeprefix("/me/faces/resolve/").partition("/")
            self._send(revision, name)

    def _commit(self, revision: str) -> str | None:
        commit = self.hub.refs.get(revision, revision)
        return commit if commit in self.hub.commits else None

    def _describe(self, what: str, revision: str) -> None:
        commit = self._commit(revision)
        if commit is None:
            self._refuse("RevisionNotFound", 404)
            return
        paths = sorted(self.hub.commits[commit].iterdir())
        content: object = {
            "id": "me/faces",
            "sha": commit,
            "siblings": [{"rfilename": path.name} for path in paths],
            "private": False,
        }
        if what == "tree":
            content = [
                {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": "0"}
                for path in paths
            ]
        self._reply(json.dumps(content).encode(), Content_Type="application/json")

    def _send(self, revision: str, name: str) -> None:
        commit = self._commit(revision)
        if commit is None or not (self.hub.commits[commit] / name).is_file():
            self._refuse("RevisionNotFound" if commit is None else "EntryNotFound", 404)
            return
        data = (self.hub.commits[commit] / name).read_bytes()
        if self.command == "GET":
            self.hub.sent.append(name)
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        self._reply(data, X_Repo_Commit=commit, ETag=etag)


@contextmanager
def hub_files() -> Iterator[tuple[str, HubFiles]]:
    """Serves the stand-in on a free port; yields its address and its state."""
    hub = HubFiles()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
