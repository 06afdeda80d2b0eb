"""Prometheus metrics of a service, for `GET /metrics`."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Media type of the exposition."""

OTHER = "other"
"""Path of requests to unknown addresses, so that their number of labels is bounded."""

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_FACES = (1, 2, 4, 8, 16, 32, 64, 128)


class Monitor:
    """Counts requests, refusals and batches of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter(
            "ferscope_requests",
            "Requests by path and status.",
            ["path", "status"],
            registry=registry,
        )
        self._refusals = Counter(
            "ferscope_refusals", "Rejected requests by error code.", ["error"], registry=registry
        )
        self._seconds = Histogram(
            "ferscope_request_seconds",
            "Seconds from the request's head to its last byte of response.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch = Histogram(
            "ferscope_batch_faces", "Faces in a forward pass.", buckets=_FACES, registry=registry
        )
        self._inside = Gauge(
            "ferscope_requests_in_flight", "Requests being read.", registry=registry
        )
        self._waiting = Gauge(
            "ferscope_queue_requests", "Requests waiting for a pass.", registry=registry
        )
        self._loaded = Gauge("ferscope_models_loaded", "Models in memory.", registry=registry)
        self._bytes = Gauge(
            "ferscope_models_bytes", "Weight files of loaded models in bytes.", registry=registry
        )

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts a finished request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def refusal(self, error: str) -> None:
        """Counts a rejected request by its error code."""
        self._refusals.labels(error).inc()

    def batch(self, faces: int) -> None:
        """Records the size of a forward pass."""
        self._batch.observe(faces)

    def exposition(self, in_flight: int, waiting: int, model_bytes: Sequence[int]) -> bytes:
        """Returns all metrics in Prometheus' text format.

        Args:
            in_flight: Requests that are being read.
            waiting: Requests that wait for a forward pass.
            model_bytes: Size of the weight files of each loaded model.
        """
        self._inside.set(in_flight)
        self._waiting.set(waiting)
        self._loaded.set(len(model_bytes))
        self._bytes.set(sum(model_bytes))
        return generate_latest(self._registry)
