"""The sections of the Feature maps page."""

from collections.abc import Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from dashboard import theme
from dashboard.cache import explanations, inference
from dashboard.cache.benchmarks import Benchmark, Run
from dashboard.components import chart, pickers, saliency_map, viewer
from dashboard.components.excluded import excluded_note
from dashboard.components.saliency_map import SIGNED, OverlayStyle
from dashboard.components.tiles import tiles
from dashboard.state import BIND, PREDICTED_CLASS, Key
from fer_core.config import ModelConfig
from fer_core.explain.attention import attention_from
from fer_core.explain.evidence import NOT_MEASURED
from fer_core.explain.features import FeatureMaps, Layer, RankBy, order_by_depth, patches
from fer_core.figures.explanations import LAYER, LayerBox, outline_chart, projection_chart
from fer_core.figures.overlay import channel_tile, patch_sheet
from fer_core.models import spec_of
from fer_core.models.tokens import grid_side

SHOWN = 24
MEAN = "mean of all"
_OUTLINE = (
    "The network from input (left) to output. Height: resolution of the maps; colour: number of "
    "channels."
)


def network_picker(benchmark: Benchmark) -> Run:
    """Shows a picker of the networks, best first, and why other runs are not offered."""
    networks = [run for run in benchmark.runs if inference.abilities(run).has_layers]
    if not networks:
        st.info("This benchmark has no trained network, so there are no layers to show.")
        st.stop()
    excluded_note(benchmark, lambda abilities: abilities.has_layers)
    return benchmark.run(pickers.run_picker(benchmark, [run.run_id for run in networks]))


def layer_picker(layers: Sequence[Layer]) -> str:
    """Shows the network's outline and a picker of its layers; returns the layer's path."""
    paths = [layer.path for layer in layers]
    # before the select box below is created, a link's layer is only in the address
    requested = st.session_state.get(Key.LAYER, st.query_params.get(Key.LAYER))
    if requested in paths:
        st.session_state[Key.LAYER] = requested
    else:
        st.session_state[Key.LAYER] = order_by_depth(layers)["middle"].path
    boxes = [LayerBox(layer.path, layer.kind, layer.channels, layer.side) for layer in layers]

    def follow() -> None:
        points = st.session_state["outline"]["selection"].get(LAYER, [])
        if points and points[0].get("path") in paths:
            st.session_state[Key.LAYER] = str(points[0]["path"])

    st.vega_lite_chart(
        spec=outline_chart(boxes, st.session_state[Key.LAYER], dark=theme.is_dark()),
        on_select=follow,
        selection_mode=LAYER,
        key="outline",
        theme="streamlit",
        alt=_OUTLINE,
    )
    st.caption(f"{_OUTLINE} Click a layer, or pick it below.")
    numbers = {layer.path: number for number, layer in enumerate(layers, 1)}
    by_path = {layer.path: layer for layer in layers}
    return str(
        st.selectbox(
            "Layer",
            paths,
            format_func=lambda path: (
                f"{numbers[path]}: {path} ({by_path[path].channels} maps of "
                f"{by_path[path].side} x {by_path[path].side})"
            ),
            key=Key.LAYER,
            bind=BIND,
        )
    )


def ranking(benchmark: Benchmark) -> tuple[int | None, RankBy]:
    """Shows pickers of the ranking and the class; returns the class index and the ranking."""
    left, right = st.columns([3, 2])
    with left:
        by = st.segmented_control(
            "Rank channels by",
            [str(rank) for rank in RankBy],
            default=str(RankBy.ACTIVATION),
            required=True,
            key=Key.RANK,
            bind=BIND,
            help="Activation: how large a map's values are. Gradient x activation: how much the "
            "map raises the logit of the class.",
            wrap=True,
        )
    labels = benchmark.info.labels
    with right:
        name = st.selectbox("Class", [PREDICTED_CLASS, *labels], key=Key.TARGET, bind=BIND)
    return (None if name == PREDICTED_CLASS else labels.index(name)), RankBy(by)


def enlarged(maps: FeatureMaps, face: NDArray[np.uint8], rank: RankBy) -> None:
    """Shows the picked channel alone and as an overlay on the face."""
    top = maps.top(SHOWN, rank)
    channel = st.session_state.get(Key.CHANNEL)
    if channel not in range(len(maps.values)):
        channel = int(top[0])
    values = maps.values[channel]
    left, right = st.columns(2)
    left.image(
        channel_tile(values, 280),
        caption=f"channel {channel}",
        width="stretch",
        alt=f"Map of channel {channel}",
    )
    picture = Image.fromarray(face).resize((280, 280), Image.Resampling.BICUBIC)
    saliency_map.show(
        right, picture, values, NOT_MEASURED, "over the face", OverlayStyle(scale=SIGNED)
    )


def grid(maps: FeatureMaps, rank: RankBy, labels: Sequence[str]) -> None:
    """Shows the strongest channels; a click on a number enlarges that channel."""
    top = maps.top(SHOWN, rank)
    st.markdown(
        f"**The {len(top)} strongest of {maps.layer.channels} channels of `{maps.layer.path}`**"
    )
    if rank is RankBy.RELEVANCE and not maps.relevance.any():
        st.caption(
            "After this layer the classifier reads only the class token, so gradient x activation "
            "is zero at every patch and channels are shown in order. Pick an earlier layer."
        )

    def enlarge(channel: int) -> None:
        st.session_state[Key.CHANNEL] = channel

    for column, channel in zip(tiles(len(top), "channels", "tiny"), top.tolist(), strict=True):
        with column:
            st.image(
                channel_tile(maps.values[channel]), width="stretch", alt=f"Map of channel {channel}"
            )
            st.button(
                f"{channel} ({maps.relevance[channel]:+.2f})",
                key=f"channel-{channel}",
                on_click=enlarge,
                args=(channel,),
                type="tertiary",
                width="stretch",
            )
    st.caption(
        "Each tile is one channel's map, scaled from its smallest (black) to its largest value "
        f"(white). In brackets: gradient x activation for *{labels[maps.target.of]}*. Click a "
        "number to enlarge the channel; over the face, orange is positive and blue negative."
    )


def patches_and_attention(
    picture: Image.Image, layers: NDArray[np.float32], config: ModelConfig
) -> None:
    """Shows a ViT's patches and the attention of one of them.

    Args:
        picture: The face at the network's input size.
        layers: Attention, (blocks, heads, T, T).
        config: Configuration of the network.
    """
    import torch

    spec = spec_of(config)
    blocks, heads, tokens, _ = layers.shape
    side = grid_side(tokens, spec.prefix_tokens)
    left, middle, right = st.columns([2, 2, 2], gap="large")
    for key, most in ((Key.BLOCK, blocks), (Key.ROW, side), (Key.COLUMN, side)):
        pickers.clamp(key, 1, most)  # another network may have fewer
    if st.session_state.get(Key.HEAD, MEAN) not in [MEAN, *range(1, heads + 1)]:
        st.session_state[Key.HEAD] = MEAN
    with middle:
        block = st.slider("Block", 1, blocks, blocks, key=Key.BLOCK, bind=BIND)
        head = st.selectbox("Head", [MEAN, *range(1, heads + 1)], key=Key.HEAD, bind=BIND)
        row = st.slider("Patch: row", 1, side, (side + 1) // 2, key=Key.ROW, bind=BIND)
        column = st.slider("Patch: column", 1, side, (side + 1) // 2, key=Key.COLUMN, bind=BIND)
    token = spec.prefix_tokens + (row - 1) * side + column - 1
    seen = attention_from(
        torch.from_numpy(layers)[None],
        block - 1,
        None if head == MEAN else int(head) - 1,
        token,
        spec.prefix_tokens,
    )[0].numpy()
    with left:
        patch = picture.width // side
        sheet = patch_sheet(patches(np.asarray(picture), patch))
        st.image(sheet, width="stretch", alt="The face, cut into patches")
        st.caption(
            f"The network's input: {side} x {side} patches of {patch} x {patch} pixels, each "
            "a token."
        )
    with right:
        box = ((column - 1) / side, (row - 1) / side, column / side, row / side)
        large = picture.resize((336, 336), Image.Resampling.BICUBIC)
        note = (
            "Attention of the framed patch in this block: the brighter a patch, the larger its "
            "attention weight."
        )
        saliency_map.show(st.container(), large, seen, NOT_MEASURED, note, OverlayStyle(box=box))


def projection(benchmark: Benchmark, run: Run) -> None:
    """Shows the embedding of the test images in the plane."""
    table = explanations.projection(run)
    if table is None:
        st.info("The embedding of this model has not been computed yet. Run:")
        st.code(f"python -m training explain {benchmark.info.name} {run.run_id}", language="bash")
        return
    caption = (
        f"Penultimate-layer features of {len(table):,} test images, reduced by PCA and t-SNE. "
        "Neighbours are similar; distances between clusters have no meaning. Crosses are errors. "
        "Click a point to open its image, or a row of the values."
    )
    st.plotly_chart(
        projection_chart(table, benchmark.info.labels),
        key="projection",
        config=chart.saved_as("embedding"),
        on_select=_open_point,
        selection_mode="points",
        alt=caption,
    )
    ids = [str(name) for name in table["id"]]
    viewer.offer(benchmark, ids)
    st.caption(caption)
    chart.values(lambda: table, "projection", lambda row: viewer.open_sample(ids[row]))


def _open_point() -> None:
    points = st.session_state["projection"]["selection"]["points"]
    if points:
        viewer.open_sample(str(points[0]["customdata"][0]))
