"""Constraints on the recommended run, the runs that violate them, and how to loosen them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from fer_core.errors import DataError
from fer_core.evaluation.candidates import Candidate
from fer_core.evaluation.licences import UNKNOWN, UNVERIFIED

_SLACK = 1e-9


class ModelKind(StrEnum):
    """Kinds of models that are considered."""

    ANY = "any"
    SINGLE = "single"
    ENSEMBLE = "ensemble"


class Limit(StrEnum):
    """Quantities that constraints limit."""

    RECALL = "recall"
    LATENCY = "latency"
    SIZE = "size"
    KIND = "kind"
    LICENCE = "licence"
    MODEL = "model"


@dataclass(frozen=True)
class Constraints:
    """Constraints that a recommended run must meet.

    Attributes:
        min_recall: Minimum validation recall by class, 0 to 1, as sorted pairs.
        max_ms: Largest median latency at batch size 1, in milliseconds; None for no limit.
        max_mb: Largest size of the weight files, in MB; None for no limit.
        kind: Single networks, ensembles, or any.
        licences: Allowed licences of the weights (SPDX ids); empty for any.
    """

    min_recall: tuple[tuple[str, float], ...] = ()
    max_ms: float | None = None
    max_mb: float | None = None
    kind: ModelKind = ModelKind.ANY
    licences: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        min_recall: Mapping[str, float] | None = None,
        max_ms: float | None = None,
        max_mb: float | None = None,
        kind: ModelKind = ModelKind.ANY,
        licences: Sequence[str] = (),
    ) -> Self:
        """Returns constraints in canonical order, so that equal ones compare equal.

        Raises:
            DataError: If a limit is negative or not a number, or a recall is not within 0 to 1.
        """
        recalls = dict(min_recall or {})
        for label, least in recalls.items():
            if not 0 <= least <= 1:
                raise DataError(f"The recall of {label} must be between 0 and 1, not {least:g}.")
        for name, largest in (("milliseconds", max_ms), ("megabytes", max_mb)):
            if largest is not None and not (largest > 0 and math.isfinite(largest)):
                raise DataError(f"The limit in {name} must be above 0, not {largest:g}.")
        pairs = tuple(sorted((label, least) for label, least in recalls.items() if least > 0))
        return cls(pairs, max_ms, max_mb, kind, tuple(sorted(set(licences))))

    def check_labels(self, labels: Sequence[str]) -> None:
        """Checks that every class with a minimum recall exists.

        Raises:
            DataError: If one does not.
        """
        for label, _ in self.min_recall:
            if label not in labels:
                raise DataError(
                    f"There is no class {label[:60]!r} to set a minimum recall for. Known: "
                    f"{', '.join(labels)}."
                )

    def with_licences_of(self, candidates: Sequence[Candidate]) -> Self:
        """Returns the constraints with licences as the runs spell them; case is ignored.

        Args:
            candidates: The runs.

        Raises:
            DataError: If no run has one of the licences.
        """
        known = {name.casefold(): name for run in candidates for name in run.licences}
        for name in self.licences:
            if name.casefold() not in known:
                raise DataError(
                    f"No run has weights with the licence {name[:60]!r}. Licences of the runs: "
                    f"{', '.join(sorted(known.values())) or UNKNOWN}."
                )
        spelled = {known[name.casefold()] for name in self.licences}
        return replace(self, licences=tuple(sorted(spelled)))


def parse_shares(texts: Sequence[str], name: str = "recall") -> dict[str, float]:
    """Reads minimum shares by class such as `disgust=.5`, in 0 to 1; commas separate several.

    Args:
        texts: The texts.
        name: What is limited, for messages.

    Raises:
        DataError: If one of them has another form or is not within 0 to 1.
    """
    shares = {}
    for text in filter(None, (part.strip() for part in ",".join(texts).split(","))):
        label, equals, number = text.partition("=")
        try:
            share = float(number)
        except ValueError:
            equals = ""
        if not equals or not label.strip():
            raise DataError(
                f"The minimum {name} {text[:60]!r} cannot be read. Write class={name} with a "
                f"{name} between 0 and 1, such as disgust=.5."
            )
        if not 0 <= share <= 1:
            raise DataError(f"The minimum {name} {text[:60]!r} must be between 0 and 1.")
        shares[label.strip()] = share
    return shares


@dataclass(frozen=True)
class Violation:
    """A constraint that a run violates.

    Attributes:
        limit: The limited quantity.
        label: Class of a minimum recall; empty for the others.
        allowed: The limit: a share, milliseconds or MB; None for kind, licence and model.
        value: The run's value; None if it is unknown, and for kind, licence and model.
        text: The run's kind or licences; empty for the others.
    """

    limit: Limit
    label: str = ""
    allowed: float | None = None
    value: float | None = None
    text: str = ""


def violations(candidate: Candidate, constraints: Constraints) -> tuple[Violation, ...]:
    """Returns the constraints that a run violates; a value that is not known violates its limit."""
    broken = []
    for label, least in constraints.min_recall:
        recall = candidate.recall(label)
        if recall is None or recall < least - _SLACK:
            broken.append(Violation(Limit.RECALL, label, least, recall))
    for limit, largest, value in (
        (Limit.LATENCY, constraints.max_ms, candidate.milliseconds),
        (Limit.SIZE, constraints.max_mb, candidate.megabytes),
    ):
        if largest is not None and (value is None or value > largest + _SLACK):
            broken.append(Violation(limit, "", largest, value))
    own_kind = ModelKind.ENSEMBLE if candidate.is_ensemble else ModelKind.SINGLE
    if constraints.kind not in (ModelKind.ANY, own_kind):
        broken.append(Violation(Limit.KIND, text=own_kind.value))
    if constraints.licences and not set(candidate.licences) <= set(constraints.licences):
        broken.append(Violation(Limit.LICENCE, text=", ".join(candidate.licences)))
    if not candidate.has_model:
        broken.append(Violation(Limit.MODEL))
    return tuple(broken)


@dataclass(frozen=True)
class Loosening:
    """A set of constraints that would have to be loosened to leave a run.

    Attributes:
        run_id: The run that would be left.
        title: Display name of the run.
        needed: The constraints, with the run's own values.
    """

    run_id: str
    title: str
    needed: tuple[Violation, ...]


def loosenings(candidates: Sequence[Candidate], constraints: Constraints) -> tuple[Loosening, ...]:
    """Returns the smallest changes that leave a run, if no run is within the constraints.

    For each set of constraints that some run violates and that contains no smaller such set, this
    is the run that needs the smallest change: the least sum of relative changes. Runs with an
    unknown value, with weights that violate the licences because theirs is unknown or unverified,
    and imported predictions, are no way out.
    """
    options: dict[frozenset[tuple[Limit, str]], tuple[float, Loosening]] = {}
    for candidate in candidates:
        needed = violations(candidate, constraints)
        changes = [_relative_change(violation) for violation in needed]
        if not needed or not all(math.isfinite(change) for change in changes):
            continue
        key = frozenset((violation.limit, violation.label) for violation in needed)
        option = (sum(changes), Loosening(candidate.run_id, candidate.title, needed))
        if key not in options or option[0] < options[key][0]:
            options[key] = option
    smallest = [key for key in options if not any(other < key for other in options)]
    ordered = sorted(smallest, key=lambda key: (len(key), options[key][0]))
    return tuple(options[key][1] for key in ordered)


def _relative_change(violation: Violation) -> float:
    """Returns how far a constraint must move, relative to its limit; infinite if unknown."""
    if violation.limit is Limit.LICENCE:
        return math.inf if {UNKNOWN, UNVERIFIED} & set(violation.text.split(", ")) else 1.0
    if violation.limit is Limit.KIND:
        return 1.0
    if violation.limit is Limit.MODEL or violation.value is None or not violation.allowed:
        return math.inf
    return abs(violation.value - violation.allowed) / violation.allowed
