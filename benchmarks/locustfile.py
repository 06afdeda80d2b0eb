"""Load test of the service with Locust; see docs/service.md.

    pip install locust
    locust -f benchmarks/locustfile.py --headless -u 8 -r 8 -t 60s --host http://localhost:8000

Each client sends one drawn face after another, without thinking time.
"""

import io

from locust import HttpUser, constant, task
from PIL import Image

from fer_core.labels import Emotion
from fer_core.synthetic.face import render

_PEOPLE = 8


def _jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(render(number, Emotion.HAPPY).image).resize((240, 240)).save(buffer, "JPEG")
    return buffer.getvalue()


class Client(HttpUser):  # type: ignore[misc]
    """A client that sends cropped faces to all models."""

    wait_time = constant(0)

    def on_start(self) -> None:
        """Draws the faces."""
        self._faces = [_jpeg(number) for number in range(_PEOPLE)]
        self._sent = 0

    @task  # type: ignore[untyped-decorator]
    def predict(self) -> None:
        """Sends the next face."""
        face = self._faces[self._sent % _PEOPLE]
        self._sent += 1
        self.client.post("/v1/predict?cropped=true", files={"files": ("face.jpg", face)})
