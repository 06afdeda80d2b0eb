"""Figures of explanations: what they hold, by hand."""

import io

import numpy as np
import pandas as pd
from PIL import Image

from fer_core.figures.explanations import (
    LAYER,
    CurvePair,
    LayerBox,
    agreement_heatmap,
    curves_chart,
    outline_chart,
    projection_chart,
    share_heatmap,
)
from fer_core.figures.overlay import (
    AGAINST,
    FOR,
    channel_tile,
    heat_overlay,
    outlined,
    overlay_sheet,
    patch_sheet,
    region_picture,
    signed_overlay,
)

FACE = Image.new("L", (40, 40), 100)


def test_positive_evidence_is_warm_and_negative_cold():
    saliency = np.zeros((40, 40), np.float32)
    saliency[:10], saliency[30:] = 1, -1
    overlay = np.asarray(signed_overlay(FACE, saliency, opacity=1)).astype(int)
    np.testing.assert_allclose(overlay[3, 20], FOR, atol=2)
    np.testing.assert_allclose(overlay[36, 20], AGAINST, atol=2)
    np.testing.assert_array_equal(overlay[20, 20], 100)


def test_overlays_follow_opacity_and_scale():
    saliency = np.zeros((40, 40), np.float32)
    saliency[:20] = 1
    faint = np.asarray(heat_overlay(FACE, saliency, opacity=0.0))
    np.testing.assert_array_equal(faint, 100)
    first, second = (
        np.asarray(heat_overlay(FACE, saliency, opacity=1, scale=scale)).astype(int)[2, 2]
        for scale in ("Inferno", "Viridis")
    )
    assert np.abs(first - second).sum() > 30


def test_attention_colours_start_at_its_minimum():
    attention = np.full((40, 40), 5.0, np.float32)
    attention[:10] = 5.1
    overlay = np.asarray(heat_overlay(FACE, attention)).astype(int)
    np.testing.assert_array_equal(overlay[30, 20], 100)
    assert np.abs(overlay[3, 20] - 100).sum() > 60


def test_an_outlier_does_not_hide_the_rest_of_a_map():
    fine = np.zeros((40, 40), np.float32)
    fine[10:30, 10:30] = 1
    fine[0, 0] = 100
    overlay = np.asarray(heat_overlay(FACE, fine)).astype(int)
    assert np.abs(overlay[20, 20] - 100).sum() > 60


def test_tiles_sheets_and_frames():
    tile = np.asarray(channel_tile(np.array([[-2.0, 0], [1, 2]], np.float32), 4))
    assert (tile[0, 0], tile[3, 3]) == (0, 255)
    assert tile[0, 3] == round(255 / 2)
    assert np.asarray(channel_tile(np.ones((2, 2), np.float32), 4)).max() == 0
    sheet = Image.open(io.BytesIO(overlay_sheet([[FACE, None]], ["row"], ["a", "b"], side=50)))
    assert sheet.size == (150 + 100, 34 + 50)
    assert sheet.getpixel((150 + 25, 34 + 25)) == (100, 100, 100)
    assert sheet.getpixel((150 + 75, 34 + 25)) == (255, 255, 255)
    notes = [["angry\nand much more than fits", ""], ["", ""]]
    noted = Image.open(
        io.BytesIO(overlay_sheet([[FACE, FACE], [FACE, None]], ["r", "s"], ["a", "b"], notes, 60))
    )
    # four lines under each row: 10 letters fit into 60 pixels
    assert noted.size == (150 + 120, 34 + 2 * (60 + 4 * 15 + 10))
    under = np.asarray(noted)[34 + 60 : 34 + 130]
    assert under[:, 150:210].min() < 100
    assert under[:, 210:].min() == 255
    assert noted.getpixel((150 + 30, 34 + 130 + 30)) == (100, 100, 100)
    cut = np.stack([np.full((2, 3, 3), 10, np.uint8), np.full((2, 3, 3), 200, np.uint8)])
    patches = np.asarray(patch_sheet(cut, side=20, gap=2))
    assert patches.shape == (18, 18, 3)
    assert (patches[0, 0, 0], patches[9, 0, 0], patches[17, 17, 0]) == (10, 128, 200)
    framed = np.asarray(outlined(FACE, (0.5, 0.5, 1, 1)))
    assert tuple(framed[20, 30]) == FOR
    assert tuple(framed[10, 10]) == (100, 100, 100)
    masks = {"mouth": np.eye(4, dtype=bool)}
    assert region_picture(masks, 8).size == (8, 8)


def test_the_outline_marks_the_selected_layer_and_is_clickable():
    layers = [LayerBox("a", "Conv2d", 8, 16), LayerBox("b", "Block", 64, 4)]
    spec = outline_chart(layers, "b")
    data = spec["data"]["values"]
    assert [row["selected"] for row in data] == [False, True]
    assert data[0]["high"] > data[1]["high"]
    assert any(parameter["name"] == LAYER for parameter in spec["params"])


def test_curves_draw_each_method_once_in_the_legend():
    pair = CurvePair(np.array([0.0, 1]), np.array([0.9, 0.1]), np.array([0.1, 0.9]))
    figure = curves_chart({"A": {"m": pair, "random": pair}, "B": {"m": pair}}, ["random"])
    assert len(figure.data) == 6
    assert [trace.name for trace in figure.data if trace.showlegend] == ["m", "random"]
    dotted = {trace.name for trace in figure.data if trace.line.dash == "dot"}
    assert dotted == {"random"}


def test_shares_are_coloured_by_their_ratio_to_the_area():
    shares = pd.DataFrame({"mouth": [0.2, 0.05], "rest": [0.8, 0.95]}, index=["happy", "sad"])
    heat = share_heatmap(shares, {"mouth": 0.1, "rest": 0.9}).data[0]
    np.testing.assert_allclose(heat.z[:, 0], [1, -1])
    assert heat.text[0][0] == "20%"


def test_agreement_and_projection_charts_contain_their_tables():
    table = pd.DataFrame([[1, 0.5], [0.5, 1]], index=["a", "b"], columns=["a", "b"])
    heat = agreement_heatmap(table, {"a": "A", "b": "B"}).data[0]
    assert (list(heat.x), heat.z[0][1]) == (["A", "B"], 0.5)
    points = pd.DataFrame(
        {"id": ["0", "1", "2"], "label": ["happy", "happy", "sad"],
         "predicted": ["sad", "happy", "happy"], "x": [9, 0, 1], "y": [9, 0, 1]}
    )  # fmt: skip
    happy, sad = projection_chart(points, ["happy", "sad"]).data
    assert list(happy.marker.symbol) == ["circle", "x"]
    assert list(happy.x) == [0, 9]
    assert sad.marker.symbol[0] == "x"
