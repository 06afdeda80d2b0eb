"""Response schemas of the service."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fer_core.evaluation.regression import CAVEAT
from fer_core.evaluation.report import Estimate, Protocol

_SHARES = {
    "angry": 0.01,
    "disgust": 0.01,
    "fear": 0.02,
    "happy": 0.89,
    "neutral": 0.04,
    "sad": 0.01,
    "surprise": 0.02,
}


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True)


class Problem(_Response):
    """Reason why a request was rejected."""

    error: str = Field(description="Machine-readable error code.")
    detail: str = Field(description="Cause and remedy.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": "not_a_picture",
                    "detail": "notes.txt is not a picture that FERscope can read. Use a JPEG, "
                    "PNG, WebP, BMP, GIF or TIFF file.",
                }
            ]
        }
    )


class Health(_Response):
    """Health of the service."""

    status: Literal["ok", "no models"]
    benchmark: str = Field(examples=["ferplus"])
    models_available: int = Field(description="Number of available models.", examples=[8])
    models_loaded: int = Field(description="Number of models in memory.", examples=[3])
    version: str = Field(examples=["0.1.0"])


class Ready(_Response):
    """Whether the service can predict now; `/health` only says that it runs."""

    ready: bool
    problems: list[str] = Field(
        description="Why it is not ready.", examples=[["models are being loaded"]]
    )


class Model(_Response):
    """A model of the benchmark."""

    id: str = Field(examples=["efficientnet_lite0-cpu-s0"])
    title: str = Field(examples=["EfficientNet-Lite0"])
    family: str = Field(examples=["cnn"])
    kind: Literal["network", "ensemble", "imported"]
    labels: list[str] = Field(examples=[list(_SHARES)])
    image_size: int | None = Field(description="Input side in pixels.", examples=[96])
    test_accuracy: Estimate | None = Field(
        description="Test accuracy with its 95% interval; null if the run has no readable report."
    )
    protocol: Protocol | None = Field(description="Evaluation protocol of the accuracy.")
    temperature: float | None = Field(
        description="Temperature fitted on validation; null if it was not fitted.",
        examples=[1.21],
    )


class Models(_Response):
    """The models of the service's benchmark."""

    benchmark: str = Field(examples=["ferplus"])
    models: list[Model]


class Box(_Response):
    """A box in pixels of the upright image; it may extend beyond the edges."""

    left: float = Field(examples=[163.1])
    top: float = Field(examples=[144.6])
    right: float = Field(examples=[370.8])
    bottom: float = Field(examples=[352.0])


class TargetEstimate(_Response):
    """A regression head's estimate of one target, with its interval."""

    value: float = Field(examples=[0.31])
    low: float | None = Field(
        description="Lower end of the 90% interval (split conformal on validation); null if it is "
        "unknown.",
        examples=[0.02],
    )
    high: float | None = Field(description="Upper end of the interval.", examples=[0.6])


class ModelPrediction(_Response):
    """Prediction of one model for one face."""

    id: str = Field(examples=["efficientnet_lite0-cpu-s0"])
    title: str = Field(examples=["EfficientNet-Lite0"])
    label: str | None = Field(
        description="The most probable class, or null if its calibrated probability is "
        "below `unsure_below` or the run's operating point.",
        examples=["happy"],
    )
    confidence: float = Field(
        description="Calibrated probability of the most probable class.", examples=[0.82]
    )
    probabilities: dict[str, float] = Field(
        description="Calibrated (temperature-scaled) class probabilities; unscaled if there is no "
        "temperature.",
        examples=[_SHARES],
    )
    uncalibrated: dict[str, float] = Field(
        description="Class probabilities before temperature scaling.", examples=[_SHARES]
    )
    calibrated: dict[str, float] = Field(
        description="The same as `probabilities`, for clients of earlier versions.",
        examples=[_SHARES],
        deprecated=True,
    )
    estimates: dict[str, TargetEstimate] = Field(
        default={},
        description=f"Estimates of a regression head by target; empty without one. {CAVEAT}",
        examples=[{}],
    )


class FacePredictions(_Response):
    """One face with the predictions of all models."""

    box: Box
    score: float | None = Field(
        description="Detection score; null with `cropped`.",
        examples=[1.9],
    )
    models: list[ModelPrediction] = Field(
        description="Predictions of all requested runs except `ensemble`."
    )
    ensemble: ModelPrediction | None = Field(
        description="Prediction of the requested ensemble with the best validation accuracy."
    )


class ImagePredictions(_Response):
    """One image and its faces."""

    name: str = Field(description="File name, printable and shortened.", examples=["a.jpg"])
    width: int | None = Field(description="Width of the upright image in pixels.", examples=[512])
    height: int | None = Field(examples=[600])
    faces: list[FacePredictions] = Field(description="Faces, largest first.")
    too_small: list[Box] = Field(
        default=[], description="Detected faces below 24 pixels, which are too small to read."
    )
    problem: str | None = Field(description="Reason if there is no face.")


class PredictResponse(_Response):
    """Predictions for all images, in the order of the upload."""

    benchmark: str = Field(examples=["ferplus"])
    images: list[ImagePredictions]
    problems: dict[str, str] = Field(
        description="Reason by id of each requested run that failed.",
        examples=[{}],
    )
