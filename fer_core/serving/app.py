"""The application: `uvicorn fer_core.serving.app:app --host localhost --port 8000`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from fer_core import __version__
from fer_core.data.faces import FaceDetector
from fer_core.serving import errors
from fer_core.serving.errors import RefusedError
from fer_core.serving.responses import picture_answers
from fer_core.serving.schemas import Health, Models, PredictResponse, Problem
from fer_core.serving.service import Service
from fer_core.serving.settings import Settings
from fer_core.serving.uploads import read_uploads

_SAYS = """
Every model of one benchmark, asked about the faces in pictures.

An answer names the expression that human annotators would most likely give to a picture; it does
not tell what a person feels. Uploads are worked on in memory and forgotten; nothing of them is
written to disk or logged.
"""

_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The form is malformed or cut off."},
    408: {"model": Problem, "description": "The upload took too long."},
    413: {"model": Problem, "description": "The request or a file is too large."},
    415: {"model": Problem, "description": "The body is no multipart form."},
    422: {"model": Problem, "description": "A parameter or picture cannot be used."},
    503: {"model": Problem, "description": "Too many requests are under way; see Retry-After."},
}

Cropped = Annotated[
    bool, Query(description="The pictures are cropped faces: look for none in them.")
]


def create_app(settings: Settings | None = None, detector: FaceDetector | None = None) -> FastAPI:
    """Builds the application; models load when they are first asked.

    Args:
        settings: Read from the environment by default.
        detector: What finds faces; CenterFace by default.
    """
    chosen = settings or Settings.from_environment()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = Service(chosen, detector)
        try:
            yield
        finally:
            app.state.service.close()

    app = FastAPI(
        title="FERscope",
        version=__version__,
        description=_SAYS,
        lifespan=lifespan,
    )
    errors.install(app)

    @app.get("/health", summary="Whether the service answers")
    def health(request: Request) -> Health:
        service = _service(request)
        available = len(service.predictor.runs())
        return Health(
            status="ok" if available else "no models",
            benchmark=service.name,
            models_available=available,
            models_loaded=len(service.predictor.loaded),
            version=__version__,
        )

    @app.get("/models", summary="The models, and how well they did on test images")
    def models(request: Request) -> Models:
        service = _service(request)
        return Models(benchmark=service.name, models=service.model_list.models())

    @app.post(
        "/predict",
        summary="What the models say of every face in one or many pictures",
        responses=_REFUSALS,
        openapi_extra=_form("files", chosen.max_files),
    )
    async def predict(
        request: Request,
        runs: Annotated[
            list[str] | None, Query(description="Run ids, repeatable; all runs by default.")
        ] = None,
        cropped: Cropped = False,
        unsure_below: Annotated[
            float,
            Query(ge=0, le=1, description="Name no class below this calibrated probability."),
        ] = 0.0,
    ) -> PredictResponse:
        service = _service(request)
        with service.gate.entered():
            asked = service.model_list.select(runs or ())
            uploads = await read_uploads(request, chosen, "files", chosen.max_files)
            pictures = await service.read(uploads, cropped=cropped)
            faces = [face for picture in pictures for face in picture.stored]
            answers = await service.ask(faces, asked)
            images = picture_answers(
                pictures,
                answers,
                ensemble=service.model_list.ensemble(asked),
                unsure_below=unsure_below,
                cropped=cropped,
            )
            problems = dict(answers[0].problems) if answers else {}
            return PredictResponse(benchmark=service.name, images=images, problems=problems)

    @app.post(
        "/explain",
        summary="What speaks for a class, as heat over a face",
        response_class=Response,
        responses=_REFUSALS | {200: _PNG},
        openapi_extra=_form("file", 1),
    )
    async def explain(
        request: Request,
        run: Annotated[str, Query(description="A run's id.")],
        method: Annotated[
            str | None, Query(description="Such as grad_cam; the run's default one if left out.")
        ] = None,
        target: Annotated[
            str | None, Query(description="A class; the predicted one if left out.")
        ] = None,
        face: Annotated[int, Query(ge=0, le=10_000, description="0 is the largest face.")] = 0,
        cropped: Cropped = False,
    ) -> Response:
        service = _service(request)
        with service.gate.entered():
            (asked,) = service.model_list.select([run])
            uploads = await read_uploads(request, chosen, "file", 1)
            (picture,) = await service.read(uploads, cropped=cropped)
            count = len(picture.faces)
            if face >= count:
                raise RefusedError(
                    422, "no_such_face", f"The picture shows {count} faces; they count from 0."
                )
            shown = await service.explain(picture.stored[face], asked, method, target)
            headers = {
                "X-Explained-Class": quote(shown.explained),
                "X-Method": quote(shown.method),
                "X-Faces": str(count),
            }
            return Response(shown.png, media_type="image/png", headers=headers)

    return app


_PNG: dict[str, Any] = {
    "description": "The face in grey with heat where something speaks for the class.",
    "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    "headers": {
        "X-Explained-Class": {
            "description": "The explained class, percent-encoded.",
            "schema": {"type": "string"},
        },
        "X-Method": {"description": "Key of the method.", "schema": {"type": "string"}},
        "X-Faces": {"description": "Faces in the picture.", "schema": {"type": "integer"}},
    },
}


def _form(field: str, most: int) -> dict[str, Any]:
    """Describes the body, which `uploads` reads itself to keep it in memory."""
    file = {"type": "string", "format": "binary", "description": "A picture file."}
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


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


app = create_app()
