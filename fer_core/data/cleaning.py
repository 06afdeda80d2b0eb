"""Sets pictures aside that no model should learn from, and cuts faces out."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.data import quality
from fer_core.data.faces import DlibDetector, FaceDetector, find_faces
from fer_core.data.plan import CleanPlan
from fer_core.data.sources.base import NO_MAJORITY, Sample
from fer_core.errors import ImageError

NO_FACE = "no face was found"
FLAT = "flat or blank"
NO_LABEL = "no label"
SMALL = "smaller than"


class Cleaner:
    """Applies a `CleanPlan` to one sample after the other.

    Args:
        plan: What is asked.
        detector: What finds faces; dlib's by default, made only if it is needed.

    Raises:
        DetectorError: If faces are asked for and dlib is not installed.
    """

    def __init__(self, plan: CleanPlan, detector: FaceDetector | None = None) -> None:
        self._plan = plan
        self._detector = detector
        if plan.faces != "keep" and detector is None:
            self._detector = DlibDetector()

    def clean(self, sample: Sample) -> Sample:
        """Returns the sample, cropped if that is asked, or excluded with the reason."""
        disputed = sample.excluded == NO_MAJORITY  # a network can still learn from its votes
        if sample.excluded and not disputed:
            return sample
        if sample.label is None and not disputed:
            return replace(sample, excluded=NO_LABEL)
        if self._plan.drop_flat and is_flat(sample.image):
            return replace(sample, excluded=FLAT)
        if self._detector is not None:
            try:
                found, *_ = find_faces(Image.fromarray(sample.image), self._detector)
            except ImageError:
                return replace(sample, excluded=NO_FACE)
            if self._plan.faces == "crop":
                sample = replace(sample, image=np.asarray(found.crop))
        least = self._plan.min_side
        if min(sample.image.shape[:2]) < least:
            return replace(sample, excluded=f"{SMALL} {least} pixels")
        return sample


def was_cleaned_away(reason: str) -> bool:
    """Whether a reason to take no part is one of `Cleaner`'s about the picture."""
    return reason in (FLAT, NO_FACE) or reason.startswith(SMALL)


def is_flat(image: NDArray[np.uint8]) -> bool:
    """Whether a picture has hardly more than one grey level."""
    return bool(quality.to_grey(image).std() < quality.FLAT_DEVIATION)
