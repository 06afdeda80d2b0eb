"""The command that embeds a benchmark's images."""

from typing import Annotated

import typer

from fer_core.errors import ArtifactError
from training.options import (
    Artifacts,
    Benchmark,
    Data,
    DeviceOption,
    benchmark_dir,
    prepared_path,
    torch_device,
)


def embed(
    benchmark: Benchmark,
    run: Annotated[
        list[str] | None,
        typer.Argument(
            help="Run ids of networks.", show_default="the network most accurate on validation"
        ),
    ] = None,
    device: DeviceOption = "auto",
    artifacts: Artifacts = None,
    data: Data = None,
) -> None:
    """Embed all images with a network, so that the dashboard finds the most similar ones.

    The embedding is the network's last feature map, averaged over positions. It is written to
    `cache/embeddings/` of the benchmark; the pictures must be on this machine, prepared or
    attached. Example:

        python -m training embed ferplus efficientnet_lite1-cpu-s0
    """
    from fer_core.data.stored_pictures import open_pictures
    from training.jobs.embed import best_network, embed_run
    from training.terminal.progress import console, show_progress

    paths = benchmark_dir(benchmark, artifacts)
    pictures = open_pictures(paths, paths.info(), paths.samples(), prepared_path(benchmark, data))
    if pictures is None:
        raise ArtifactError(
            f"The pictures of {benchmark} are not on this machine. Attach them with "
            f"`python -m training attach {benchmark} path/to/the/data`."
        )
    for run_dir in [paths.run(name) for name in run or []] or [best_network(paths)]:
        index = embed_run(run_dir, pictures, torch_device(device), show_progress)
        done = "embedded before" if index is None else f"{len(index.ids):,} images embedded"
        console.print(f"{run_dir.run_id}: {done}", markup=False)
