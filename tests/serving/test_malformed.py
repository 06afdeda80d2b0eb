"""Over 500 uploads that are no proper pictures: never a 5xx, and memory does not grow."""

import gc
import random

import psutil
import pytest

from tests.support.malformed import uploads
from tests.support.uploads import files, png, png_claiming


def test_malformed_uploads_neither_crash_nor_leak_memory(client):
    result = uploads()
    assert len(result) >= 500
    random.Random(1).shuffle(result)
    process = psutil.Process()
    statuses, early = [], 0
    for number, content in enumerate(result):
        if number == len(result) // 3:
            gc.collect()
            early = process.memory_info().rss
        # every tenth is predicted where it can be read; of the others no quarter need be a face
        query = (
            "?cropped=true&runs=resnet34-cpu-s0" if number % 10 == 0 else "?runs=resnet34-cpu-s0"
        )
        answer = client.post("/predict" + query, files=files(content))
        statuses.append(answer.status_code)
        assert answer.status_code in (200, 422), (answer.status_code, content[:60])
        assert answer.json()
    gc.collect()
    grown = (process.memory_info().rss - early) / 2**20
    assert grown < 25, f"{grown:.0f} MiB"
    assert statuses.count(422) > 250
    assert client.post("/predict", files=files(png(0))).status_code == 200


@pytest.mark.parametrize("content", [b"", b"x", png_claiming(60_000, 60_000)])
def test_explain_refuses_malformed_uploads(client, content):
    answer = client.post("/explain?run=resnet34-cpu-s0", files=files(content, field="file"))
    assert answer.status_code == 422
