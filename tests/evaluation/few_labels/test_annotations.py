import numpy as np
import pytest

from fer_core.evaluation.few_labels.annotations import Merge, annotations, export, pool_key
from fer_core.reviews import PoolLabel

CLASSES = ("happy", "sad", "fear")
ROWS = {"s/a": 0, "s/b": 1, "s/c": 2}


def label(sample, annotator, name, step=None, probability=None):
    return PoolLabel("p", sample, annotator, name, step, probability)


ONE = label("s/b", "ann", "happy", 0, 0.5)


@pytest.mark.parametrize(
    ("others", "majority", "votes"),
    [
        ([], [1, 0, 0], [1, 0, 0]),
        (["sad"], [0, 0, 0], [0.5, 0.5, 0]),
        (["sad", "sad"], [0, 1, 0], [1 / 3, 2 / 3, 0]),
        ([""], [0, 0, 0], [1, 0, 0]),
        (["", ""], [0, 0, 0], [1, 0, 0]),
        (["happy", ""], [1, 0, 0], [1, 0, 0]),
    ],
)
def test_annotators_who_disagree_count_by_majority_or_by_votes(others, majority, votes):
    labels = [ONE, *(label("s/b", f"other{i}", name) for i, name in enumerate(others))]
    for merge, expected in ((Merge.MAJORITY, majority), (Merge.VOTES, votes)):
        result = annotations(labels, ROWS, CLASSES, merge)
        assert result.labelled.shares.tolist() == pytest.approx(np.array([expected]))
        assert len(result.conflicts) == (len({"happy", *others}) > 1)


def test_labels_come_in_the_order_of_their_steps_and_strangers_are_left_out():
    labels = [
        label("s/c", "ann", "sad", 1, 0.2),
        ONE,
        label("s/unknown", "ann", "sad", 2, 0.2),
        label("s/a", "bob", "contempt", 3, 0.2),
    ]
    result = annotations(labels, ROWS, CLASSES)
    assert result.labelled.rows.tolist() == [1, 2]
    assert result.labelled.probability.tolist() == [0.5, 0.2]
    assert result.by_annotator == {"ann": 2}
    assert result.next_step == 2


def test_an_undone_label_is_the_next_step():
    labels = [ONE, label("s/c", "ann", "sad", 2, 0.2)]
    assert annotations(labels, ROWS, CLASSES).next_step == 1
    assert annotations([], ROWS, CLASSES).next_step == 0


def test_the_export_names_images_labels_and_annotators():
    labels = [
        ONE,
        label("s/b", "bob", "happy"),
        label("s/c", "ann", "", 1, 0.2),
        label("s/a", "ann", "sad", 2, 0.3),
        label("s/a", "bob", "fear"),
    ]
    table = export(labels, CLASSES)
    assert table["image"].tolist() == ["b", "c", "a"]
    assert table["label"].tolist() == ["happy", "", ""]
    assert table["label_ann"].tolist() == ["happy", "unclear", "sad"]
    assert table["label_bob"].tolist() == ["happy", "not labelled", "fear"]
    assert table["step"].tolist() == [0, 1, 2]


def test_the_key_depends_on_images_and_classes():
    keys = {pool_key(("a", "b"), CLASSES), pool_key(("a",), CLASSES), pool_key(("a", "b"), ())}
    assert len(keys) == 3
