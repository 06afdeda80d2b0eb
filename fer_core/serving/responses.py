"""Conversion of predictions to the JSON response."""

from collections.abc import Iterator, Mapping, Sequence

from fer_core.data.faces import DetectedFace
from fer_core.predictor import Prediction, TargetEstimates, decide
from fer_core.predictor.predictions import Thresholds
from fer_core.serving.inference import FaceResult
from fer_core.serving.pictures import Picture
from fer_core.serving.schemas import (
    Box,
    FacePredictions,
    ImagePredictions,
    ModelPrediction,
    TargetEstimate,
)

_DIGITS = 6


def image_predictions(
    pictures: Sequence[Picture],
    results: Sequence[FaceResult],
    *,
    ensemble: str | None,
    thresholds: Mapping[str, Thresholds],
    cropped: bool,
) -> list[ImagePredictions]:
    """Combines images with the predictions for their faces.

    Args:
        pictures: Images in the order of the upload.
        results: Predictions of each face, over all images.
        ensemble: Run that is reported separately as the ensemble.
        thresholds: Thresholds of the calibrated probability by run, below which there is no label;
            runs that are missing are always labelled.
        cropped: Whether detection was skipped, so that there are no detection scores.
    """
    left = iter(results)
    return [
        ImagePredictions(
            name=picture.name,
            width=picture.size[0] if picture.size else None,
            height=picture.size[1] if picture.size else None,
            faces=list(_faces(picture, left, ensemble, thresholds, cropped=cropped)),
            too_small=[_box(face) for face in picture.too_small],
            problem=picture.problem,
        )
        for picture in pictures
    ]


def _faces(
    picture: Picture,
    results: Iterator[FaceResult],
    ensemble: str | None,
    thresholds: Mapping[str, Thresholds],
    *,
    cropped: bool,
) -> Iterator[FacePredictions]:
    for face in picture.faces:
        by_run = {
            p.run_id: _model(p, thresholds.get(p.run_id, 0.0)) for p in next(results).predictions
        }
        yield FacePredictions(
            box=_box(face),
            score=None if cropped else round(face.score, 3),
            ensemble=by_run.pop(ensemble, None) if ensemble else None,
            models=list(by_run.values()),
        )


def _box(face: DetectedFace) -> Box:
    left, top, right, bottom = (
        round(edge, 1) for edge in (face.left, face.top, face.right, face.bottom)
    )
    return Box(left=left, top=top, right=right, bottom=bottom)


def _model(prediction: Prediction, unsure_below: Thresholds) -> ModelPrediction:
    """Converts a prediction for a single face."""
    raw, calibrated = prediction.probabilities[0], prediction.calibrated[0]
    names = prediction.labels.names
    shares = {n: round(float(v), _DIGITS) for n, v in zip(names, calibrated, strict=True)}
    return ModelPrediction(
        id=prediction.run_id,
        title=prediction.title,
        label=decide(calibrated, prediction.labels, unsure_below),
        confidence=round(float(calibrated.max()), _DIGITS),
        probabilities=shares,
        uncalibrated={n: round(float(v), _DIGITS) for n, v in zip(names, raw, strict=True)},
        calibrated=shares,
        estimates={name: _estimate(item) for name, item in prediction.estimates.items()},
    )


def _estimate(item: TargetEstimates) -> TargetEstimate:
    """Converts the estimate of one target for a single face."""
    low, high = item.interval() or (None, None)
    return TargetEstimate(value=float(item.values[0]), low=low, high=high)
