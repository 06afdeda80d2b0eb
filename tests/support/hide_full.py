"""Hides the packages of the extra `full`, as if they were not installed."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from fer_core.extras import FULL_ONLY


class _WithoutFull(PathFinder):
    """Finds modules on the path, but not the hidden packages."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in FULL_ONLY:
            return None
        return super().find_spec(name, path, target)


def hide() -> None:
    """Hides the packages in this process; none of them may be imported yet."""
    assert not FULL_ONLY & set(sys.modules)
    sys.meta_path = [_WithoutFull if finder is PathFinder else finder for finder in sys.meta_path]
