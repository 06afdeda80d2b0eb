"""Charts of the uncertainty of the ranking."""

import numpy as np

from fer_core.evaluation.ranking import Ranking
from fer_core.figures.palette import model_colours, model_patterns
from fer_core.figures.ranking import place_bars


def test_bars_of_one_colour_differ_in_their_pattern():
    runs = [f"run{number:02}" for number in range(17)]
    colours, alike = model_colours(runs), ("run00", "run16")
    assert colours[alike[0]] == colours[alike[1]]
    shares = np.array([[0.7, 0.3], [0.3, 0.7]])
    ranking = Ranking(alike, (1, 1), np.ones((1, 2)), shares, shares)
    figure = place_bars(ranking, dict(zip(runs, runs, strict=True)), colours)
    shapes = [trace.marker.pattern.shape for trace in figure.data]
    assert shapes == [model_patterns(runs)[run] for run in alike]
    assert len(set(shapes)) == 2
    assert [trace.marker.color for trace in figure.data] == [colours[run] for run in alike]
