"""Cleaning: excludes unusable images and crops faces."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.data import quality
from fer_core.data.centerface import CenterFaceDetector
from fer_core.data.faces import FaceDetector, picture_faces
from fer_core.data.plan import CleanPlan
from fer_core.data.sources.base import NO_MAJORITY, Sample

NO_FACE = "no face was found"
FLAT = "flat or blank"
NO_LABEL = "no label"
SMALL = "smaller than"


class Cleaner:
    """Applies a `CleanPlan` to samples.

    Args:
        plan: Cleaning options.
        detector: Face detector; CenterFace by default, loaded only if needed.

    Raises:
        DetectorError: If the plan needs faces and the detector cannot be loaded.
    """

    def __init__(self, plan: CleanPlan, detector: FaceDetector | None = None) -> None:
        self._plan = plan
        self._detector = detector
        if plan.faces != "keep" and detector is None:
            self._detector = CenterFaceDetector()

    def clean(self, sample: Sample) -> Sample:
        """Returns the sample, cropped if the plan says so, or excluded with a reason."""
        no_majority = sample.excluded == NO_MAJORITY  # votes can serve as soft labels
        if sample.excluded and not no_majority:
            return sample
        if sample.label is None and not no_majority:
            return replace(sample, excluded=NO_LABEL)
        if self._plan.drop_flat and is_flat(sample.image):
            return replace(sample, excluded=FLAT)
        if self._detector is not None:
            faces = picture_faces(Image.fromarray(sample.image), self._detector).crops
            if not faces:
                return replace(sample, excluded=NO_FACE)
            if self._plan.faces == "crop":
                sample = replace(sample, image=np.asarray(faces[0].crop))
        min_side = self._plan.min_side
        if min(sample.image.shape[:2]) < min_side:
            return replace(sample, excluded=f"{SMALL} {min_side} pixels")
        return sample


def was_cleaned_away(reason: str) -> bool:
    """Whether a reason for exclusion comes from `Cleaner` and concerns the image itself."""
    return reason in (FLAT, NO_FACE) or reason.startswith(SMALL)


def is_flat(image: NDArray[np.uint8]) -> bool:
    """Whether an image has almost no contrast."""
    return bool(quality.to_grey(image).std() < quality.FLAT_DEVIATION)
