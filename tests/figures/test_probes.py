"""Charts of probes with drawn faces."""

import pandas as pd

from fer_core.evaluation.real_changes import RealAgreement
from fer_core.figures.palette import model_colours, model_symbols
from fer_core.figures.probes import real_scatter


def test_points_of_one_colour_differ_in_their_symbol():
    runs = [f"run{number:02}" for number in range(17)]
    colours, alike = model_colours(runs), ("run00", "run16")
    assert colours[alike[0]] == colours[alike[1]]
    points = pd.DataFrame(
        [(run, "mirror", 0.1, 0.2) for run in alike], columns=["run", "change", "drawn", "real"]
    )
    agreement = RealAgreement(points, {}, None, 10)
    figure = real_scatter(agreement, dict(zip(runs, runs, strict=True)), colours)
    symbols = [trace.marker.symbol for trace in figure.data[1:]]
    assert symbols == [model_symbols(runs)[run] for run in alike]
    assert len(set(symbols)) == 2
