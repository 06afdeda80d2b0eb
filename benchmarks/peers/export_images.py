"""Writes a benchmark's validation and test images for programs that cannot read it.

    python -m benchmarks.peers.export_images ferplus peers/

Writes `images.bin` (uint8, one image after another) and `images.json` (side, channels, ids). The
images stay on this machine: do not publish the folder.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from fer_core.data.prepared import PreparedDataset
from fer_core.evaluation.predictions import EVALUATED
from fer_core.project import data_root


def export(dataset: PreparedDataset, folder: Path) -> int:
    """Writes the images and their ids; returns their number."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.concatenate([dataset.rows(split) for split in EVALUATED])
    images = np.asarray(dataset.images[rows])
    (folder / "images.bin").write_bytes(images.tobytes())
    ids = dataset.samples["id"].to_numpy()[rows].tolist()
    facts = {
        "side": images.shape[1],
        "channels": images.shape[3] if images.ndim == 4 else 1,
        "ids": ids,
    }
    (folder / "images.json").write_text(json.dumps(facts))
    return len(rows)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    count = export(PreparedDataset.open(data_root() / arguments.benchmark), arguments.folder)
    print(f"{count} images in {arguments.folder}")


if __name__ == "__main__":
    main()
