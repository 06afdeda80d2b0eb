"""Error responses: all errors have the form of `Problem`."""

import logging
from contextvars import ContextVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fer_core.data.imaging import printable_name
from fer_core.serving.monitoring import Monitor
from fer_core.serving.schemas import Problem

log = logging.getLogger(__name__)

request_id: ContextVar[str] = ContextVar("request_id", default="unknown")
"""Id of the current request, for the log; also known in the threads that work for it."""

_INVALID = "invalid_parameter"


class RefusedError(Exception):
    """A request that is rejected.

    Args:
        status: HTTP status.
        error: Machine-readable error code.
        detail: Cause and remedy.
        retry_after: Seconds after which to retry; None if retrying does not help.
    """

    def __init__(
        self, status: int, error: str, detail: str, *, retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.error, self.detail = status, error, detail
        self.headers = None if retry_after is None else {"Retry-After": str(retry_after)}


class UnexpectedErrors:
    """Responds to an exception that nothing else handles with a `Problem`, and logs its trace.

    It belongs inside the middleware that adds headers, so that this response has them as well.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        started = False

        async def respond(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, respond)
        except Exception:
            if scope["type"] != "http" or started:
                raise  # a second response cannot follow: the server closes the connection
            log.exception("request %s failed", request_id.get())
            detail = (
                "The service failed unexpectedly. Give its operator the request id "
                f"{request_id.get()}: the server's log has the cause."
            )
            await _response(500, "internal_error", detail)(scope, receive, send)


def install(app: FastAPI, monitor: Monitor) -> None:
    """Installs handlers that return every error as a `Problem` and count it."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)  # noqa: S101 (registered for it alone)
        monitor.refusal(error.error)
        return _response(error.status, error.error, error.detail, error.headers)

    async def invalid(request: Request, error: Exception) -> Response:
        monitor.refusal(_INVALID)
        return await _invalid(request, error)

    app.add_exception_handler(RefusedError, refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(ClientDisconnect, _gone)


def _response(
    status: int, error: str, detail: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    content = Problem(error=error, detail=detail).model_dump()
    return JSONResponse(content, status_code=status, headers=headers)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    names = {404: "not_found", 405: "method_not_allowed"}
    headers = dict(error.headers) if error.headers else None
    detail = f"{error.detail}. See /docs for the endpoints."
    return _response(error.status_code, names.get(error.status_code, "refused"), detail, headers)


async def _invalid(_: Request, error: Exception) -> Response:
    """Names the parameter and the rule without echoing the sent value."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problems = [
        f"{printable_name('.'.join(str(part) for part in problem['loc'][1:]))}: {problem['msg']}"
        for problem in error.errors()
    ]
    return _response(422, _INVALID, "; ".join(problems) + ".")


async def _gone(_: Request, __: Exception) -> Response:
    """Handles a client that disconnected during the upload; nobody reads the response."""
    return Response(status_code=400)
