"""Parts on a Ray cluster of two workers: all results, also if a worker dies."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from fer_core.errors import DataError, FerscopeError
from training.jobs.ray_engine import map_on_ray

pytest.importorskip("ray", reason="Ray is not installed; `make test-ray` installs it")


@dataclass(frozen=True)
class Shout:
    """Writes words in capitals; the word "die" ends the worker, once or each time."""

    marker: Path
    once: bool = True
    device: str | None = "cpu"

    def load(self):
        def shout(word):
            if word == "die" and not (self.once and self.marker.exists()):
                self.marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return word.upper()

        return shout


@dataclass(frozen=True)
class Failing:
    """Cannot be loaded."""

    device: str | None = "cpu"

    def load(self):
        raise DataError("The networks are elsewhere.")


pytestmark = pytest.mark.usefixtures("cluster")


def test_every_part_is_computed_once_although_a_worker_dies(tmp_path):
    job = Shout(tmp_path / "died")
    done = sorted(map_on_ray(["a", "die", "c", "d"], job, workers=2))
    assert job.marker.exists()
    assert done == [(0, "A"), (1, "DIE"), (2, "C"), (3, "D")]


def test_a_part_that_ends_each_worker_is_given_up_after_the_others_are_yielded(tmp_path):
    results = map_on_ray(["a", "b", "die"], Shout(tmp_path / "died", once=False), workers=1)
    assert [next(results), next(results)] == [(0, "A"), (1, "B")]
    with pytest.raises(FerscopeError, match="repeatedly ended its worker"):
        next(results)


def test_errors_of_a_worker_keep_their_kind():
    with pytest.raises(DataError, match=r"^The networks are elsewhere\.$"):
        list(map_on_ray(["a"], Failing()))
