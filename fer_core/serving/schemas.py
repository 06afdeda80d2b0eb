"""What the service answers."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Problem(_Answer):
    """Why a request was refused."""

    error: str = Field(description="A short name that programs can compare.")
    detail: str = Field(description="What is wrong and how to mend it.")

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


class Health(_Answer):
    """Whether the service answers, and with what."""

    status: Literal["ok", "no models"]
    benchmark: str = Field(examples=["ferplus"])
    models_available: int = Field(description="Runs that can be asked.", examples=[8])
    models_loaded: int = Field(description="Models in memory now.", examples=[3])
    version: str = Field(examples=["0.1.0"])


class Model(_Answer):
    """A run that can be asked about a face."""

    id: str = Field(examples=["efficientnet_lite0-cpu-s0"])
    title: str = Field(examples=["EfficientNet-Lite0"])
    family: str = Field(examples=["cnn"])
    kind: Literal["network", "ensemble", "imported"]
    labels: list[str] = Field(examples=[list(_SHARES)])
    image_size: int | None = Field(description="Side of its input in pixels.", examples=[96])
    test_accuracy: Estimate | None = Field(
        description="Share of the benchmark's test images that it gets right, with its 95% "
        "interval; null where the run has no readable report."
    )
    protocol: Protocol | None = Field(description="What that number stands on.")
    temperature: float | None = Field(
        description="Scales its probabilities to its validation images; null where not fitted.",
        examples=[1.21],
    )


class Models(_Answer):
    """The runs of the service's benchmark."""

    benchmark: str = Field(examples=["ferplus"])
    models: list[Model]


class Box(_Answer):
    """A box in the pixels of the upright picture; it may reach beyond the edges."""

    left: float = Field(examples=[163.1])
    top: float = Field(examples=[144.6])
    right: float = Field(examples=[370.8])
    bottom: float = Field(examples=[352.0])


class ModelAnswer(_Answer):
    """What one run says of one face."""

    id: str = Field(examples=["efficientnet_lite0-cpu-s0"])
    title: str = Field(examples=["EfficientNet-Lite0"])
    label: str | None = Field(
        description="The most probable class, or null where its calibrated probability lies "
        "below `unsure_below`.",
        examples=["happy"],
    )
    confidence: float = Field(
        description="Calibrated probability of the most probable class.", examples=[0.82]
    )
    probabilities: dict[str, float] = Field(
        description="As the model gives them.", examples=[_SHARES]
    )
    calibrated: dict[str, float] = Field(
        description="Scaled by the run's temperature; the same where none was fitted.",
        examples=[_SHARES],
    )


class FaceAnswer(_Answer):
    """One face and what the runs say of it."""

    box: Box
    score: float | None = Field(
        description="The detector's own measure of certainty; null with `cropped`.",
        examples=[1.9],
    )
    models: list[ModelAnswer] = Field(description="Every asked run but `ensemble`.")
    ensemble: ModelAnswer | None = Field(
        description="Of the asked ensembles the one that was best on validation, if any was asked."
    )


class PictureAnswer(_Answer):
    """One picture and its faces."""

    name: str = Field(description="The file's name, printable and shortened.", examples=["a.jpg"])
    width: int | None = Field(description="Of the upright picture, in pixels.", examples=[512])
    height: int | None = Field(examples=[600])
    faces: list[FaceAnswer] = Field(description="Largest first.")
    too_small: list[Box] = Field(
        default=[], description="Faces below 24 pixels: found, but too small to be read."
    )
    problem: str | None = Field(description="Why there is no face, if there is none.")


class PredictResponse(_Answer):
    """What the runs say of the faces in the pictures, in the order of the upload."""

    benchmark: str = Field(examples=["ferplus"])
    images: list[PictureAnswer]
    problems: dict[str, str] = Field(
        description="Runs that were asked and could not answer, each with the reason.",
        examples=[{}],
    )
