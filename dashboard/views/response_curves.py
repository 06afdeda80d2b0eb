"""Response curves: how a model's predictions move on drawn faces when one thing changes."""

from dashboard import theme
from dashboard.components import pickers
from dashboard.sections import attribute_effects, probes, response_curves
from dashboard.state import Key

theme.page_header(
    "Explain",
    "Response curves",
    "How a model's predictions change on drawn (synthetic) faces when one property changes and "
    "everything else stays the same.",
)
benchmark = pickers.benchmark_with_runs()
probed = probes.probed_runs(benchmark)
view = pickers.switch("Show", probes.VIEWS, Key.PROBE)
probes.limits()

if view == probes.ALL_MODELS:
    probes.recognition_by_model(benchmark, probed)
    response_curves.thresholds_by_model(benchmark, probed)
    attribute_effects.shares_by_model(benchmark, probed)
    attribute_effects.real_agreement(benchmark)
else:
    run, accuracy = probes.run_of(benchmark, probed)
    probes.validity(benchmark, run, accuracy)
    if view == probes.CURVES:
        response_curves.curve(run)
        response_curves.strongest_units(run)
        response_curves.pair_of_units(benchmark, run)
    else:
        attribute_effects.effects(run, accuracy)
        attribute_effects.attribute(benchmark, run)
