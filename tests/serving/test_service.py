"""A request with many faces is predicted batch by batch, in turn with other requests."""

import asyncio
import threading

import numpy as np
import pytest

from fer_core.serving.inference import BatchPredictor, FaceResult
from fer_core.serving.service import Service
from fer_core.serving.settings import Settings
from tests.support.uploads import QuarterDetector, files, png


class Inference:
    """Notes the faces of each pass; the first pass waits until it is let go."""

    def __init__(self):
        self.passes = []
        self.started, self.go = threading.Event(), threading.Event()

    def __call__(self, faces, runs):
        self.passes.append([int(face[0, 0]) for face in faces])
        self.started.set()
        assert self.go.wait(10)
        return [FaceResult((), {str(face[0, 0]): "damaged"}) for face in faces]


@pytest.fixture
def inference(monkeypatch):
    inference = Inference()
    monkeypatch.setattr(
        BatchPredictor, "__call__", lambda self, faces, runs: inference(faces, runs)
    )
    return inference


def numbered(*numbers):
    return [np.full((48, 48), number, np.uint8) for number in numbers]


def test_a_small_request_is_predicted_between_the_batches_of_a_large_one(toy, inference):
    service = Service(Settings(artifacts=toy.artifacts, batch_faces=2), QuarterDetector())
    first, second = service.predictor.runs()[:2]

    async def requests():
        large = asyncio.create_task(service.predict(numbered(1, 2, 3, 4, 5), [first]))
        await asyncio.to_thread(inference.started.wait, 10)
        small = asyncio.create_task(service.predict(numbered(9), [second]))
        await asyncio.sleep(0)  # it is in the queue
        inference.go.set()
        return await large, await small

    large, small = asyncio.run(requests())
    service.close()
    assert inference.passes == [[1, 2], [9], [3, 4], [5]]
    assert [next(iter(result.problems)) for result in large] == ["1", "2", "3", "4", "5"]
    assert len(small) == 1


def test_a_run_that_fails_in_one_batch_is_reported(client, monkeypatch):
    """Even if it did not fail for the first face."""
    results = [FaceResult((), {}), FaceResult((), {"resnet34-cpu-s0": "damaged"})]

    async def predict(*_):
        return results

    monkeypatch.setattr(Service, "predict", predict)
    answer = client.post("/predict", files=files(png(0, 1)))
    assert answer.json()["problems"] == {"resnet34-cpu-s0": "damaged"}


def test_no_face_needs_no_pass(toy, inference):
    service = Service(Settings(artifacts=toy.artifacts), QuarterDetector())
    assert asyncio.run(service.predict([], service.predictor.runs())) == []
    service.close()
    assert inference.passes == []
