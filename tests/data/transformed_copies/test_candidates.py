import numpy as np

from fer_core.data.progress import silent
from fer_core.data.transformed_copies import candidates
from fer_core.data.transformed_copies.candidates import NEIGHBOURS, SIMILARITY, find_candidates


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_the_nearest_of_every_row_are_found(monkeypatch) -> None:
    monkeypatch.setattr(candidates, "_ROWS", 7)
    monkeypatch.setattr(candidates, "_COLUMNS", 11)
    monkeypatch.setattr(candidates, "_BUFFER", 20)
    random = np.random.default_rng(0)
    plain, mirrored = (unit(random.normal(size=(60, 4))) for _ in range(2))
    found = find_candidates(plain, mirrored, silent)

    links = [
        (row, other, side, similarity)
        for side, left in ((0, plain), (1, mirrored))
        for i, j in np.argwhere(np.triu(left @ plain.T > SIMILARITY, 1)).tolist()
        for similarity in [float((left @ plain.T)[i, j])]
        for row, other in ((i, j), (j, i))
    ]
    expected = set()
    for row in range(60):
        of_row = sorted((link for link in links if link[0] == row), key=lambda link: -link[3])
        expected |= {(min(i, j), max(i, j), side) for i, j, side, _ in of_row[:NEIGHBOURS]}
    given = zip(found.first.tolist(), found.second.tolist(), found.mirrored.tolist(), strict=True)
    assert {(i, j, int(side)) for i, j, side in given} == expected
    assert (found.first < found.second).all()


def test_no_images_give_no_candidates() -> None:
    none = np.empty((0, 4), np.float32)
    assert len(find_candidates(none, none, silent)) == 0
