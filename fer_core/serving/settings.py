"""Settings of the service."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from fer_core.artifacts import ArtifactStore, BenchmarkDir
from fer_core.data.imaging import MAX_BYTES
from fer_core.errors import ArtifactError
from fer_core.project import artifacts_root

PREFIX = "FERSCOPE_"
PREFERRED = "ferplus"
API_KEYS = f"{PREFIX}API_KEYS"
RUNS = f"{PREFIX}RUNS"
_MIB = 2**20
_EMPTY_KEY = hashlib.sha256(b"").hexdigest()


class Settings(BaseModel):
    """The service's settings; each can be set as `FERSCOPE_<NAME>` in the environment.

    Attributes:
        artifacts: Folder of the benchmarks.
        benchmark: Benchmark to serve; by default `ferplus` if it exists, else the first.
        runs: Ids of the runs that clients can use, separated by commas; all by default.
        max_body_mib: Largest request body in MiB.
        max_file_mib: Largest file in MiB.
        max_files: Largest number of images per request.
        max_faces: Largest number of faces per request, over all its images.
        max_requests: Largest number of concurrent uploads; further ones are told to retry.
        batch_faces: Largest number of faces per forward pass, over all waiting requests.
        upload_seconds: Time limit in seconds for receiving a request body.
        min_upload_kib_s: Least rate of an upload in KiB per second, after the first seconds.
        api_keys: SHA-256 hashes of the accepted API keys, separated by commas; empty for none.
        cors_origins: Web origins that may call the service, separated by commas; empty for none.
        drift_log: File to which label shares and confidence are appended every hour; none by
            default.
        preload: Whether all models load at the start, in the background.
        operating_point: File with thresholds of one run, which the service applies; none by
            default.
        models: Largest number of models in memory; the least recently used is evicted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifacts: Path = Field(default_factory=artifacts_root)
    benchmark: str | None = None
    runs: tuple[str, ...] = ()
    max_body_mib: int = Field(64, ge=1, le=1024)
    max_file_mib: int = Field(MAX_BYTES // _MIB, ge=1, le=MAX_BYTES // _MIB)
    max_files: int = Field(32, ge=1, le=1000)
    max_faces: int = Field(200, ge=1, le=10_000)
    max_requests: int = Field(64, ge=1, le=1000)
    batch_faces: int = Field(64, ge=1, le=1024)
    upload_seconds: float = Field(30.0, gt=0, le=600)
    min_upload_kib_s: float = Field(8.0, gt=0, le=1024)
    api_keys: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    drift_log: Path | None = None
    preload: bool = False
    operating_point: Path | None = None
    models: int = Field(12, ge=1, le=100)

    @field_validator("runs", "api_keys", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        parts = tuple(part.strip() for part in value.split(",") if part.strip())
        if info.field_name == "api_keys" and not parts:
            # such as a mounted secret without content: an empty list of keys admits everyone
            raise ValueError(
                f"{API_KEYS} is set but has no hash. Set it to the SHA-256 hash of a key, or "
                "unset it to admit requests without a key"
            )
        if info.field_name == "runs" and not parts:
            raise ValueError(f"{RUNS} has no run. Set it to ids of runs, or unset it to serve all")
        return parts

    @field_validator("api_keys")
    @classmethod
    def _check_hashes(cls, hashes: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in hashes):
            raise ValueError(
                f"{API_KEYS} takes SHA-256 hashes, not keys: "
                "printf %s KEY | sha256sum | cut -d' ' -f1"
            )
        if _EMPTY_KEY in hashes:
            raise ValueError(
                f"{API_KEYS} has the SHA-256 hash of an empty key. Hash a key that is not empty: "
                "printf %s KEY | sha256sum | cut -d' ' -f1"
            )
        return hashes

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Reads the settings from the environment; empty variables count as unset.

        Only an empty `FERSCOPE_API_KEYS` is an error: it would admit requests without a key.

        Raises:
            pydantic.ValidationError: If a setting is out of range.
        """
        names = {f"{PREFIX}{name.upper()}": name for name in cls.model_fields}
        return cls.model_validate(
            {
                name: environment[key]
                for key, name in names.items()
                if environment.get(key) or (key == API_KEYS and key in environment)
            }
        )

    @property
    def min_upload_rate(self) -> float:
        """Minimum rate of an upload in bytes per second."""
        return self.min_upload_kib_s * 1024

    @property
    def max_body(self) -> int:
        """Largest request body in bytes."""
        return self.max_body_mib * _MIB

    @property
    def max_file(self) -> int:
        """Largest file in bytes."""
        return self.max_file_mib * _MIB

    def open_benchmark(self) -> BenchmarkDir:
        """Returns the benchmark to serve.

        Raises:
            ArtifactError: If there is no benchmark, or not the one in the settings.
        """
        store = ArtifactStore(self.artifacts)
        benchmarks = {directory.name: directory for directory in store.benchmarks()}
        if self.benchmark is not None and self.benchmark not in benchmarks:
            raise ArtifactError(
                f"There is no benchmark {self.benchmark!r} in {self.artifacts}. "
                f"Known: {', '.join(benchmarks) or 'none'}. Set {PREFIX}BENCHMARK to one of these."
            )
        if not benchmarks:
            raise ArtifactError(
                f"There is no benchmark in {self.artifacts}. "
                f"Set {PREFIX}ARTIFACTS to the folder that holds them."
            )
        name = self.benchmark or (PREFERRED if PREFERRED in benchmarks else next(iter(benchmarks)))
        return benchmarks[name]
