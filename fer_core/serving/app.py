"""FastAPI application: `uvicorn fer_core.serving.app:app --host localhost --port 8000`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Query, Request, Security
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response
from fastapi.security import APIKeyHeader

from fer_core import __version__
from fer_core.data.faces import FaceDetector
from fer_core.serving import errors
from fer_core.serving.errors import RefusedError, UnexpectedErrors
from fer_core.serving.middleware import API_KEY, REQUEST_ID, VERSION, ApiKeys, RequestLog
from fer_core.serving.monitoring import CONTENT_TYPE, Monitor
from fer_core.serving.responses import image_predictions
from fer_core.serving.schemas import Health, Models, PredictResponse, Problem, Ready
from fer_core.serving.service import Service
from fer_core.serving.settings import Settings
from fer_core.serving.uploads import read_uploads

_DESCRIPTION = """
Facial expression recognition with all models of one benchmark.

A model predicts the expression that human annotators would most likely choose for an image. It
does not tell what a person feels. Uploads are processed in memory only and are neither written to
disk nor logged.
"""

_NO_KEY: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "The API key is missing or unknown."},
}

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The form is malformed or incomplete."},
    408: {"model": Problem, "description": "The upload took too long."},
    413: {"model": Problem, "description": "The request or a file is too large."},
    415: {"model": Problem, "description": "The body is not a multipart form."},
    422: {"model": Problem, "description": "A parameter or an image is invalid."},
    500: {"model": Problem, "description": "An unexpected error; see the server's log."},
    503: {"model": Problem, "description": "Too many concurrent requests; see Retry-After."},
}

_PNG: dict[str, Any] = {
    "description": "The face in grey, with a heatmap of the evidence for the class.",
    "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    "headers": {
        "X-Explained-Class": {
            "description": "The explained class, percent-encoded.",
            "schema": {"type": "string"},
        },
        "X-Method": {"description": "Key of the saliency method.", "schema": {"type": "string"}},
        "X-Evidence": {
            "description": "Whether the method beats both baselines on this run, percent-encoded: "
            "such as `beats both baselines on deletion and insertion` or `not measured`.",
            "schema": {"type": "string"},
        },
        "X-Evidence-Images": {
            "description": "Number of images behind that; 0 if not measured.",
            "schema": {"type": "integer"},
        },
        "X-Faces": {"description": "Number of faces in the image.", "schema": {"type": "integer"}},
    },
}

Cropped = Annotated[bool, Query(description="The images are cropped faces; skip face detection.")]
Runs = Annotated[list[str] | None, Query(description="Run ids, repeatable; all runs by default.")]
UnsureBelow = Annotated[
    float | None,
    Query(
        ge=0,
        le=1,
        description="Return no label below this calibrated probability. By default the service's "
        "operating point decides for its run, and every other run is always labelled.",
    ),
]
Method = Annotated[
    str | None,
    Query(description="Saliency method, such as grad_cam; by default that of the run."),
]
Target = Annotated[
    str | None, Query(description="Class to explain; by default the predicted class.")
]
Face = Annotated[int, Query(ge=0, le=10_000, description="Index of the face; 0 is the largest.")]


def create_app(settings: Settings | None = None, detector: FaceDetector | None = None) -> FastAPI:
    """Creates the application; models are loaded at their first request.

    Args:
        settings: Settings; by default read from the environment.
        detector: Face detector; CenterFace by default.
    """
    config = settings or Settings.from_environment()

    monitor = Monitor()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = Service(config, detector, monitor)
        try:
            yield
        finally:
            app.state.service.close()

    app = FastAPI(
        title="FERscope",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
    )
    errors.install(app, monitor)
    public, protected = APIRouter(), _protected_router(config)
    _add_probes(public)
    _add_facts(protected)
    _add_predict(protected, config)
    _add_explain(protected, config)
    for router in (public, protected):
        app.include_router(router, prefix=VERSION)
        app.include_router(router, include_in_schema=False)  # the addresses before /v1
    _add_middleware(app, config, monitor)
    return app


def _protected_router(config: Settings) -> APIRouter:
    """Returns a router whose documentation asks for the key, if the service needs one.

    The key is checked by `ApiKeys` alone; the scheme makes /docs send it.
    """
    scheme = APIKeyHeader(
        name=API_KEY,
        scheme_name="ApiKey",
        description="A key that the operator of the service gave you.",
        auto_error=False,
    )
    dependencies = [Security(scheme)] if config.api_keys else []
    return APIRouter(dependencies=dependencies, responses=_NO_KEY)


def _add_middleware(app: FastAPI, config: Settings, monitor: Monitor) -> None:
    """Adds what every request passes; the last one added is the first to see it.

    So all responses have a request id, and a page of another origin can read the refusals and the
    failures as well. CORS itself responds to a browser that asks whether it may send a key.
    """
    app.add_middleware(ApiKeys, hashes=config.api_keys, public=_PUBLIC)
    app.add_middleware(UnexpectedErrors)
    if config.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=[API_KEY, REQUEST_ID],
            expose_headers=[REQUEST_ID, "Retry-After", "Deprecation", "Link", *_PNG["headers"]],
        )
    app.add_middleware(RequestLog, monitor=monitor, paths=(*_FACTS, *_MODELS), deprecated=_MODELS)


_FACTS = ("/health", "/ready", "/metrics", "/docs", "/openapi.json")
_MODELS = ("/models", "/predict", "/explain")
_PUBLIC = ("/health", "/ready", "/docs", "/openapi.json")
"""Paths that need no API key: probes of an orchestrator, and the documentation."""


def _add_probes(router: APIRouter) -> None:
    router.get("/health", summary="Health of the service")(health)
    router.get(
        "/ready",
        summary="Whether the service can predict now",
        response_model=Ready,
        responses={503: {"model": Ready, "description": "It cannot; see `problems`."}},
    )(ready)


def _add_facts(router: APIRouter) -> None:
    router.get(
        "/metrics",
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}},
    )(metrics)
    router.get("/models", summary="Models with their test accuracy")(models)


def health(request: Request) -> Health:
    """Reports whether there are models, and how many of them are loaded."""
    service = _service(request)
    available = len(service.model_list.runs())
    return Health(
        status="ok" if available else "no models",
        benchmark=service.name,
        models_available=available,
        models_loaded=len(service.predictor.loaded),
        version=__version__,
    )


def ready(request: Request) -> Response:
    """Reports whether models are loaded, the disk has space, and ONNX copies are up to date."""
    problems = _service(request).problems()
    content = Ready(ready=not problems, problems=problems)
    return JSONResponse(content.model_dump(), status_code=503 if problems else 200)


def metrics(request: Request) -> Response:
    """Returns counts of requests and refusals, latencies, batch sizes, queue and models."""
    return Response(_service(request).metrics(), media_type=CONTENT_TYPE)


def models(request: Request) -> Models:
    """Lists the models with their test accuracy and calibration."""
    service = _service(request)
    return Models(benchmark=service.name, models=service.model_list.models())


def _add_predict(router: APIRouter, config: Settings) -> None:
    @router.post(
        "/predict",
        summary="Predict the expressions of all faces in images",
        responses=_ERRORS,
        openapi_extra=_form("files", config.max_files),
    )
    async def predict(
        request: Request,
        runs: Runs = None,
        cropped: Cropped = False,
        unsure_below: UnsureBelow = None,
    ) -> PredictResponse:
        service = _service(request)
        with service.gate.entered(_address(request)):
            selected = service.model_list.select(runs or ())
            uploads = await read_uploads(request, config, "files", config.max_files)
            pictures = await service.read(uploads, cropped=cropped)
            faces = [face for picture in pictures for face in picture.stored]
            results = await service.predict(faces, selected)
            images = image_predictions(
                pictures,
                results,
                ensemble=service.model_list.ensemble(selected),
                thresholds=service.thresholds(unsure_below),
                cropped=cropped,
            )
            # of all results: a run may fail in only some batches of the request
            problems = {run: text for result in results for run, text in result.problems.items()}
            return PredictResponse(benchmark=service.name, images=images, problems=problems)


def _add_explain(router: APIRouter, config: Settings) -> None:
    @router.post(
        "/explain",
        summary="Explain a prediction as a heatmap over the face",
        response_class=Response,
        responses=_ERRORS | {200: _PNG},
        openapi_extra=_form("file", 1),
    )
    async def explain(
        request: Request,
        run: Annotated[str, Query(description="Run id.")],
        method: Method = None,
        target: Target = None,
        face: Face = 0,
        cropped: Cropped = False,
    ) -> Response:
        service = _service(request)
        with service.gate.entered(_address(request)):
            (info,) = service.model_list.select([run])
            uploads = await read_uploads(request, config, "file", 1)
            (picture,) = await service.read(uploads, cropped=cropped)
            count = len(picture.faces)
            if face >= count:
                raise RefusedError(
                    422, "no_such_face", f"The image has {count} faces; indices start at 0."
                )
            overlay = await service.explain(picture.stored[face], info, method, target)
            headers = {
                "X-Explained-Class": quote(overlay.explained),
                "X-Method": quote(overlay.method),
                "X-Evidence": quote(overlay.evidence.label),
                "X-Evidence-Images": str(overlay.evidence.images),
                "X-Faces": str(count),
            }
            return Response(overlay.png, media_type="image/png", headers=headers)


def _form(field: str, most: int) -> dict[str, Any]:
    """Returns the OpenAPI schema of the body, which `uploads` parses without FastAPI."""
    file = {"type": "string", "format": "binary", "description": "An image file."}
    several = {"type": "array", "items": file, "minItems": 1, "maxItems": most}
    schema = {
        "type": "object",
        "required": [field],
        "additionalProperties": False,
        "properties": {field: file if most == 1 else several},
    }
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


def _address(request: Request) -> str:
    """Returns the client's address; behind a proxy, uvicorn's `--proxy-headers` sets it."""
    return request.client.host if request.client else ""


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


app = create_app()
