"""Shared parts of the page Response curves: the probed runs, and validity."""

from collections.abc import Mapping, Sequence

import streamlit as st

from dashboard import pages
from dashboard.cache import benchmarks, inference
from dashboard.cache import probes as cache
from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.components import chart, pending, pickers
from dashboard.components.text import plain
from dashboard.state import ONLY_CHANGED
from fer_core.evaluation import probe_text
from fer_core.evaluation.attribute_effects import DrawnAccuracy
from fer_core.figures.charts import interval_chart

CURVES, CHANGES, ALL_MODELS = "curves", "changes", "models"
VIEWS: Mapping[str, str] = {
    CURVES: "Response curves",
    CHANGES: ONLY_CHANGED,
    ALL_MODELS: "All models",
}

_ADAPTER_BENCHMARK, _ADAPTER = "synthetic", "vit_tiny_lora"


def probed_runs(benchmark: Benchmark) -> list[str]:
    """Returns the probed runs; without any, shows the command to run and stops the page."""
    command = f"python -m training probe {benchmark.info.name}"
    probed = [run.run_id for run in benchmark.runs if cache.is_probed(run)]
    if not probed:
        pending.show_command(
            benchmark,
            "No model of this benchmark has been probed with drawn faces yet.",
            command,
            "response_curves",
        )
        st.stop()
    missing = [
        run.title
        for run in (item.info for item in benchmark.runs)
        if run.run_id not in probed and inference.can_predict(benchmark.run(run.run_id))
    ]
    if missing:
        st.caption(f"Not probed yet: {plain(', '.join(missing))}. `{command}` adds them.")
    return probed


def limits() -> None:
    """Shows what drawn faces can and cannot show."""
    st.caption(probe_text.LIMITS)


def run_of(benchmark: Benchmark, probed: Sequence[str]) -> tuple[Run, DrawnAccuracy]:
    """Shows a picker of the probed models; returns the picked run and its drawn accuracy.

    If its table cannot be read, shows the command that writes it again and stops the page.
    """
    run = benchmark.run(pickers.run_picker(benchmark, probed))
    accuracy = cache.accuracy(run)
    if accuracy is None:
        st.warning(
            f"The probe of {plain(benchmark.titles[run.run_id])} is damaged or older than the "
            "model. Probe the model again:",
            icon=":material/warning:",
        )
        command = f"python -m training probe {benchmark.info.name} {run.run_id} --again"
        st.code(command, language="bash")
        st.stop()
    return run, accuracy


def validity(benchmark: Benchmark, run: Run, accuracy: DrawnAccuracy) -> None:
    """Shows how well a model recognises drawn faces; offers to adapt it if that is too little."""
    sentence = plain(probe_text.validity_sentence(benchmark.titles[run.run_id], accuracy))
    if accuracy.is_valid:
        st.info(sentence, icon=":material/rule:")
        return
    st.warning(sentence, icon=":material/warning:")
    adapter = f"{_ADAPTER}-cpu-s0"
    st.markdown(
        "A model can be adapted to drawn faces first. "
        f"`python -m training train {_ADAPTER} --benchmark {_ADAPTER_BENCHMARK}` adapts ViT-Tiny "
        "with LoRA; for another vision transformer, copy "
        f"`training/recipes/{_ADAPTER}.yaml` and set `init` to `run:{benchmark.info.name}/"
        f"{run.run_id}`."
    )
    other = benchmarks.benchmark_dirs().get(_ADAPTER_BENCHMARK)
    if other is not None and other.run(adapter).info_path.is_file():
        query = pages.run_query(_ADAPTER_BENCHMARK, adapter)
        pages.link("response_curves", "The adapted ViT-Tiny", query)


def recognition_by_model(benchmark: Benchmark, probed: Sequence[str]) -> None:
    """Shows every model's macro-recall on drawn faces."""
    accuracies = {
        run_id: accuracy
        for run_id in probed
        if (accuracy := cache.accuracy(benchmark.run(run_id))) is not None
    }
    if not accuracies:
        return
    st.subheader("Which models recognise drawn faces?", anchor=False)
    least = next(iter(accuracies.values())).least
    figure = interval_chart(
        {run_id: accuracy.macro_recall for run_id, accuracy in accuracies.items()},
        benchmark.titles,
        benchmark.colours,
    )
    figure.add_vline(x=least, line={"dash": "dot", "color": "rgba(128,128,128,.9)"})
    chart.show(
        figure,
        "drawn-recall",
        "Macro-recall on drawn faces at full intensity, with 95% intervals over persons. Left of "
        f"the dotted line ({least:.0%}, twice chance) drawn faces say nothing about a model.",
    )
