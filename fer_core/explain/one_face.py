"""Explaining one face with one run: `fer_core.explain`."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_core.explain.saliency import Detail, SaliencyMap, Target
from fer_core.labels import LabelSet

Face = Image.Image | NDArray[np.uint8]


class Explainer(Protocol):
    """Type of objects that explain faces, such as `fer_core.Predictor`."""

    @property
    def labels(self) -> LabelSet:
        """The benchmark's classes."""

    def explain(
        self,
        face: Face,
        run_id: str,
        method: str | None = None,
        target: Target | None = None,
        detail: Detail | None = None,
    ) -> SaliencyMap:
        """Explains one run on one face."""


def explain_face(
    predictor: Explainer,
    face: Face,
    run_id: str,
    *,
    label: str | None = None,
    against: str | None = None,
    method: str | None = None,
) -> SaliencyMap:
    """Returns where a model finds evidence for a class on a face.

    Args:
        predictor: A `fer_core.Predictor`.
        face: The cropped face.
        run_id: A network, an ensemble, or an imported model.
        label: Class to explain; the predicted class by default.
        against: Class to contrast it with ("why happy and not surprise").
        method: Key of a saliency method, such as `grad_cam`; by default the most faithful one
            measured for this run.

    Returns:
        The map, signed and unscaled, with the evidence for its method on this run.

    Raises:
        DataError: If a class is unknown.
        ExplainError: If the method is unknown or does not support the model.

    Examples:
        >>> import fer_core
        >>> from fer_core.data.sources.synthetic import portrait
        >>> from PIL import Image
        >>> face = Image.fromarray(portrait(512, "happy", 96).image)
        >>> predictor = fer_core.Predictor(fer_core.open_benchmark("synthetic"))
        >>> found = fer_core.explain(
        ...     predictor, face, "efficientnet_lite0-cpu-s0", label="happy", method="grad_cam"
        ... )
        >>> found.values.ndim, found.method
        (2, 'grad_cam')
    """
    target = None
    if label is not None:
        other = None if against is None else predictor.labels.index(against)
        target = Target(predictor.labels.index(label), other)
    return predictor.explain(face, run_id, method, target)
