"""Explanations: saliency methods, faithfulness metrics, feature maps and facial regions.

The package can be called: `fer_core.explain(predictor, face, run_id)` is
`fer_core.explain.one_face.explain_face`, a part of the Python API.
"""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        """Explains a face; see `fer_core.explain.one_face.explain_face`."""
        from fer_core.explain.one_face import explain_face

        return explain_face(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
