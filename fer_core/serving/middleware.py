"""Middleware of every request: its id, its line in the log, the metrics, and the API key."""

import hashlib
import hmac
import json
import logging
import re
import time
import uuid
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_core.serving.errors import request_id
from fer_core.serving.monitoring import OTHER, Monitor
from fer_core.serving.schemas import Problem

access = logging.getLogger("fer_core.serving.access")
"""One JSON object per request; without addresses, file names and query strings."""

REQUEST_ID = "X-Request-ID"
API_KEY = "X-API-Key"
VERSION = "/v1"
"""Prefix of the current version of the API."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def route_path(scope: Scope) -> str:
    """Returns the path of a request as the routes know it: without the server's `root_path`."""
    path: str = scope["path"]
    inner = path.removeprefix(scope.get("root_path", ""))
    return inner if inner.startswith("/") else path


class RequestLog:
    """Gives each request an id and logs and counts its response.

    A client may send its own id in `X-Request-ID`: up to 64 letters, digits, `.`, `_` and `-`. Old
    addresses without `/v1` respond with a `Deprecation` header (RFC 9745) that names the new one.

    Args:
        app: The application.
        monitor: Counts the requests.
        paths: Known paths without the version's prefix.
        deprecated: Paths that have moved below the prefix.
    """

    def __init__(
        self, app: ASGIApp, monitor: Monitor, paths: Sequence[str], deprecated: Sequence[str]
    ) -> None:
        self._app, self._monitor = app, monitor
        self._paths, self._deprecated = frozenset(paths), frozenset(deprecated)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, path = time.perf_counter(), route_path(scope)
        wanted = Headers(scope=scope).get(REQUEST_ID, "")
        current_id = wanted if _ID.fullmatch(wanted) else uuid.uuid4().hex
        request_id.set(current_id)
        status = 500

        async def respond(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = current_id
                if path in self._deprecated:
                    headers["Deprecation"] = _DEPRECATED_SINCE
                    root = scope.get("root_path", "").rstrip("/")
                    headers["Link"] = f'<{root}{VERSION}{path}>; rel="successor-version"'
            await send(message)

        try:
            await self._app(scope, receive, respond)
        finally:
            seconds = time.perf_counter() - start
            known = path.removeprefix(VERSION)
            known = known if known in self._paths else OTHER
            self._monitor.request(known, status, seconds)
            line = {
                "request_id": current_id,
                "method": scope["method"],
                "path": known,
                "status": status,
                "milliseconds": round(1000 * seconds, 1),
            }
            access.info(json.dumps(line))


_DEPRECATED_SINCE = "@1795824000"  # 2026-11-28
"""Value of the `Deprecation` header (RFC 9745): when the addresses without a version were left."""


class ApiKeys:
    """Rejects requests without a known key.

    Args:
        app: The application.
        hashes: SHA-256 of each key, in hexadecimal. Without any, every request passes.
        public: Paths that need no key, without the version's prefix.
    """

    def __init__(self, app: ASGIApp, hashes: Sequence[str], public: Sequence[str]) -> None:
        self._app, self._hashes, self._public = app, tuple(hashes), frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http" or self._admits(scope):
            await self._app(scope, receive, send)
            return
        problem = Problem(
            error="unknown_key",
            detail=f"This service needs an API key. Send it in the header {API_KEY}.",
        )
        response = JSONResponse(
            problem.model_dump(), status_code=401, headers={"WWW-Authenticate": API_KEY}
        )
        await response(scope, receive, send)

    def _admits(self, scope: Scope) -> bool:
        if not self._hashes or route_path(scope).removeprefix(VERSION) in self._public:
            return True
        name = API_KEY.lower().encode()
        # the bytes as sent: decoded as Latin-1, a key with other letters would never match
        key = next((value for header, value in scope["headers"] if header == name), b"")
        if not key:
            return False
        sent = hashlib.sha256(key).hexdigest()
        # all are compared, so that the time says nothing about which one is close
        return sum(hmac.compare_digest(sent, known) for known in self._hashes) > 0
