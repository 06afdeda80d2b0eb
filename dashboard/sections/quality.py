"""The sections of the Data quality page: lists of suspect images, exported as relabel lists."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from dashboard.cache import benchmarks, dataset
from dashboard.cache.benchmarks import Benchmark
from dashboard.components import chart, download, pending, pickers, stored_samples, viewer
from dashboard.components.attach import need_pictures
from dashboard.components.columns import percent_column
from dashboard.components.gallery import Card, gallery, label_and_colour
from dashboard.components.text import plain
from dashboard.state import Key, digest_of
from fer_core.csv_text import csv_text
from fer_core.data import review
from fer_core.data.leaks import KINDS
from fer_core.data.stored_pictures import Pictures
from fer_core.figures import dataset as dataset_figures

GROUPS_PER_PAGE = 8
MEMBERS_SHOWN = 12
FACES_PER_PAGE = 32
MAX_ROWS = 1000
"""Largest number of rows to edit on the page; the download contains all rows."""

_EXCLUDE = "exclude the image"
_KINDS = {"all": "All", "exact": "Exact copies", "crossing": "Across splits"}


def counts(benchmark: Benchmark) -> None:
    """Shows the length of each list; the lists themselves are counted, so that they agree."""
    if not {"duplicate_group", "exact_group"} <= set(benchmarks.samples(benchmark).columns):
        return
    copies, leaked = (dataset.review_list(benchmark, name) for name in ("duplicates", "leaks"))
    conflicting = dataset.review_list(benchmark, "conflicts")
    extreme = dataset.review_list(benchmark, "outliers").query("split != 'excluded'")
    kinds = _kinds_of_copies(benchmark)
    leaked = leaked[leaked["split"] == "test"]
    scored = sum(benchmark.info.counts.get("test", {}).values())
    groups = copies["group"].nunique()
    columns = st.columns(4)
    columns[0].metric(
        "Extra copies",
        f"{len(copies) - groups:,}",
        help=f"{kinds.capitalize()} copies beyond the first of each of {groups:,} groups, among "
        "all stored images, including excluded ones.",
        border=True,
    )
    columns[1].metric(
        "Test images with a copy",
        f"{len(leaked):,}",
        help=f"Of the {scored:,} test images that are scored, those with a copy in the original "
        f"train or validation, by their closest copy: {_kinds(leaked)}. The leak-free score "
        "leaves these images out.",
        border=True,
    )
    columns[2].metric(
        "Groups with two labels",
        f"{conflicting['group'].nunique():,}",
        help=f"Groups of {kinds} copies whose labels in this benchmark differ; "
        f"{len(conflicting):,} labelled images.",
        border=True,
    )
    columns[3].metric(
        "Outliers",
        f"{extreme['id'].nunique():,}",
        help="Images of train, validation and test with an extreme value; each image counts once. "
        "The list below groups them by reason and includes excluded images.",
        border=True,
    )


def _kinds_of_copies(benchmark: Benchmark) -> str:
    """Returns which copies the duplicate groups contain."""
    card = dataset.card(benchmark)
    return "exact or near" if card is None else card.kinds_in_groups


def _kinds(leaked: pd.DataFrame) -> str:
    """Returns how many leaks are of each kind, such as `282 exact, 45 near`."""
    found = leaked["kind"].value_counts()
    return ", ".join(f"{found[kind]:,} {kind}" for kind in KINDS if kind in found) or "none"


def duplicates(benchmark: Benchmark) -> None:
    """Shows the groups of duplicate images."""
    if not stored_samples.needs_columns(
        benchmarks.samples(benchmark), "duplicate_group", "exact_group"
    ):
        return
    table = dataset.review_list(benchmark, "duplicates")
    if table.empty:
        st.success("No image has a duplicate.", icon=":material/check:")
        return
    kind = pickers.switch("Groups", _KINDS, Key.GROUPS)
    by_group = table.groupby("group", sort=False)
    if kind == "exact":
        table = table[by_group["kind"].transform("min") == "exact"]
        table = table[table.groupby("group")["kind"].transform("max") == "exact"]
    elif kind == "crossing":
        table = table[by_group["split"].transform("nunique") > 1]
    st.caption(
        f"{table['group'].nunique():,} groups with {len(table):,} images (all stored ones, "
        "including excluded ones), largest first. The first labelled image of a group counts as "
        "its original; the proposal is to exclude the others. Preparation never divides a group "
        "between splits."
    )
    _groups(benchmark, table)
    _relabel(benchmark, table, "duplicates")


def leaks(benchmark: Benchmark) -> None:
    """Shows held-out images with a copy in a split used for training or model selection."""
    table = dataset.review_list(benchmark, "leaks")
    if table.empty:
        st.success("No held-out image has a copy in the training data.", icon=":material/check:")
        return
    left, right = st.columns(2)
    with left:
        split = pickers.switch(
            "Held-out split", {"test": "Test", "validation": "Validation"}, Key.HELD_OUT
        )
    table = table[table["split"] == split]
    found = table["kind"].value_counts()
    names = {"all": f"All {len(table):,}"} | {
        kind: f"{kind.capitalize()} {found[kind]:,}" for kind in KINDS if kind in found
    }
    with right:
        kind = pickers.switch("Closest copy", names, Key.LEAK_KIND)
    st.caption(_leaks_explained(benchmark, table, split))
    if kind != "all":
        table = table[table["kind"] == kind]
    _faces(benchmark, table)
    _relabel(benchmark, table, f"leaks-{split}")


def _leaks_explained(benchmark: Benchmark, table: pd.DataFrame, split: str) -> str:
    before = "train or validation" if split == "test" else "train"
    same = table["same_label"].mean() if len(table) else 0
    card = dataset.card(benchmark)
    text = (
        f"{len(table):,} {split} images that are scored have a copy in the original {before}; "
        f"{same:.0%} of them have a copy with the same label. "
    )
    if not benchmark.directory.copies_path.is_file():
        closed = (
            "Exact and near copies were removed from training. Mirrored, rotated or cropped copies "
            f"were not searched for: `python -m training find-copies {benchmark.info.name}` adds "
            "them, here and to the leak-free score. "
        )
    elif card is not None and card.transformed is not None and card.transformed.removed:
        closed = "Their copies were removed from training. "
    else:
        closed = (
            "Exact and near copies were removed from training; transformed ones are only reported, "
            "because the published split stays. "
        )
    stays = "the leak-free score leaves them out" if split == "test" else "validation keeps them"
    return text + closed + f"The {split} images stay: {stays}."


def conflicts(benchmark: Benchmark) -> None:
    """Shows duplicate groups whose members are labelled differently."""
    table = dataset.review_list(benchmark, "conflicts")
    if table.empty:
        st.success("No duplicate group has two labels.", icon=":material/check:")
        return
    st.caption(
        f"{table['group'].nunique():,} groups of {_kinds_of_copies(benchmark)} copies with "
        f"{len(table):,} labelled images have more than one label, so at least one label of each "
        "group is wrong. The proposal is the majority label, or to exclude the group if there is "
        "none."
    )
    _groups(benchmark, table)
    _relabel(benchmark, table, "conflicts")


def outliers(benchmark: Benchmark) -> None:
    """Shows images with extreme light, contrast, sharpness or framing."""
    table = dataset.review_list(benchmark, "outliers")
    if table.empty:
        st.success("There are no outliers.", icon=":material/check:")
        return
    counts = table["reason"].value_counts()
    names = {"all": f"All {len(table):,}"} | {
        str(reason): f"{str(reason).capitalize()} {count:,}" for reason, count in counts.items()
    }
    reason = pickers.switch("Reason", names, Key.REASON)
    if reason != "all":
        table = table[table["reason"] == reason]
    st.caption(
        "Images with a modified z-score above 3.5 (distance from the median in robust deviations), "
        "most extreme first. Not every outlier is wrong: look at it before you exclude it."
    )
    _faces(benchmark, table)
    _relabel(benchmark, table, "outliers")


def labels(benchmark: Benchmark) -> None:
    """Shows likely label errors of train, or of validation and test."""
    names = {"held_out": "Validation and test", "train": "Train"}
    if pickers.switch("Labels of", names, Key.LABELS_OF) == "train":
        _train_labels(benchmark)
    else:
        _held_out_labels(benchmark)


def _train_labels(benchmark: Benchmark) -> None:
    issues = dataset.train_label_issues(benchmark)
    if issues is None:
        pending.show_command(
            benchmark,
            "Likely label errors of train come from out-of-fold predictions of a classifier. "
            "The computation takes minutes, runs once, and continues after an interruption.",
            f"python -m training check-labels {benchmark.info.name}",
            "quality",
        )
        return
    table = dataset.train_label_table(benchmark)
    if table.empty:
        st.success("No likely label errors.", icon=":material/check:")
        return
    st.caption(
        f"{len(table):,} of {issues.images:,} training labels disagree with a model: a linear "
        f"classifier on the features of {plain(issues.features)}, trained on the other "
        f"{issues.folds - 1} of {issues.folds} folds, predicts another class about as confidently "
        "as it does for images of that class (confident learning). Out-of-fold accuracy: "
        f"{issues.accuracy:.1%}; the lower it is, the more of these labels are right. A listed "
        "label may be wrong, or its image hard: look at the image before you change the label. "
        "Lowest label quality first."
    )
    if issues.saw_labels:
        st.warning(
            "The features come from a network that was trained on these labels. The network may "
            "have memorised wrong labels, so fewer of them are listed.",
            icon=":material/visibility_off:",
        )
    _votes(table)
    _faces(benchmark, table)
    _relabel(benchmark, table, "train-labels")


def _held_out_labels(benchmark: Benchmark) -> None:
    """Shows likely label errors and their effect on each model's accuracy."""
    judges = dataset.judges(benchmark)
    count = len(judges.runs)
    if judges.dropped:
        st.warning(
            "These networks are not used, because their predictions cannot be read or are for "
            f"other samples: {plain(', '.join(judges.dropped))}.",
            icon=":material/warning:",
        )
    if not count:
        st.info(
            "Label errors are found with the predictions of trained networks on validation and "
            "test, and this benchmark has no readable one yet. Train one:"
        )
        pickers.train_command(benchmark.info.name)
        return
    table = dataset.label_issues(benchmark)
    if table.empty:
        st.success("No likely label errors.", icon=":material/check:")
        return
    st.caption(
        f"{len(table):,} labels of validation and test disagree with the models: {count} "
        f"{'network' if count == 1 else 'networks'}, not trained on these images, on average "
        "predict another class about as confidently as they do for images of that class (confident "
        "learning). A listed label may be wrong, or its image hard. Lowest label quality first."
    )
    if count == 1:
        st.warning(
            "Only one network is used, so its own errors count as label errors. With two or more "
            "networks, each one is scored without the labels that the others suspect.",
            icon=":material/gavel:",
        )
    _votes(table)
    _faces(benchmark, table)
    _relabel(benchmark, table, "labels")
    _label_noise(benchmark)


def _votes(table: pd.DataFrame) -> None:
    """Says what the annotators voted on the listed images, where their votes are known."""
    if "votes_given" in table.columns:
        st.caption(
            f"On these images {table['votes_given'].mean():.0%} of the annotators' votes are for "
            f"the current label and {table['votes_suggested'].mean():.0%} for the suggested one, "
            "on average."
        )


def _label_noise(benchmark: Benchmark) -> None:
    """Shows each model's accuracy with and without the images whose label is suspect."""
    st.subheader("Effect on accuracy", anchor=False)
    rows = sorted(dataset.label_noise(benchmark), key=lambda row: row.accuracy)
    titles, colours = benchmark.titles, benchmark.colours
    chart.show(
        dataset_figures.cleared_chart(
            [
                (titles[row.run_id], colours[row.run_id], row.accuracy, row.accuracy_without)
                for row in rows
            ]
        ),
        "label-noise",
        "Test accuracy of each model. Hollow: on all images. Solid: without the images whose label "
        "is suspect. The solid value is not a better estimate: models make similar errors, so a "
        "hard image can look like a label error, and the remaining images are easier.",
    )
    table = pd.DataFrame(
        {
            "model": [titles[row.run_id] for row in rows],
            "test errors": [row.errors for row in rows],
            "likely label errors among them": [row.suspect_errors for row in rows],
            "share of errors": [row.share for row in rows],
            "accuracy": [row.accuracy for row in rows],
            "without suspect labels": [row.accuracy_without for row in rows],
            "judged by": ["other networks" if row.judged_by_others else "itself" for row in rows],
        }
    )
    percent = percent_column()
    st.dataframe(
        table.iloc[::-1],
        hide_index=True,
        column_config=dict.fromkeys(
            ("share of errors", "accuracy", "without suspect labels"), percent
        ),
        key="label-noise-table",
    )


def _groups(benchmark: Benchmark, table: pd.DataFrame) -> None:
    """Shows one page of groups, as faces or as a table."""
    numbers = table["group"].unique()
    # each group by its first image: other benchmarks and lists number their groups alike
    first = table.drop_duplicates("group")["id"].to_numpy()
    shown = numbers[pickers.page(first, GROUPS_PER_PAGE)]
    pictures = benchmarks.pictures(benchmark)
    if pictures is None:
        need_pictures(benchmark, "groups")
        st.dataframe(table[table["group"].isin(shown)], hide_index=True, key="groups")
        return
    on_page = table[table["group"].isin(shown)]
    for number in shown:
        members = on_page[on_page["group"] == number]
        labels = members["label"].dropna().unique()
        note = f"{len(members)} images in {', '.join(sorted(members['split'].unique()))}"
        if len(labels) > 1:
            note += f", labelled {' and '.join(sorted(labels))}"
        if (hidden := len(members) - MEMBERS_SHOWN) > 0:
            note += f"; {hidden} more not shown"
        with st.container(border=True):
            st.caption(plain(note))
            rows = members.head(MEMBERS_SHOWN)
            gallery(_cards(benchmark, rows, pictures), side=96, key=f"group-{number}",
                    on_open=viewer.open_sample)  # fmt: skip
    viewer.offer(benchmark, table["id"])


def _faces(benchmark: Benchmark, table: pd.DataFrame) -> None:
    """Shows one page of a list as faces, if the pictures are attached."""
    pictures = benchmarks.pictures(benchmark)
    if pictures is None:
        need_pictures(benchmark, "faces")
        return
    rows = table.iloc[pickers.page(table["id"].to_numpy(), FACES_PER_PAGE)]
    gallery(_cards(benchmark, rows, pictures), side=112, key="faces", on_open=viewer.open_sample)
    viewer.offer(benchmark, table["id"])


def _cards(benchmark: Benchmark, rows: pd.DataFrame, pictures: Pictures) -> list[Card]:
    cards = []
    for row in rows.itertuples(index=False):
        picture = pictures.get(str(row.id))
        if picture is None:
            continue
        label, colour = label_and_colour(row.label, benchmark.info.labels)
        proposal = str(row.proposal) if row.proposal not in ("", label) else ""
        title = f"{label} → {proposal}" if proposal else label
        cards.append(Card(picture, title, str(row.id), colour, str(row.id)))
    return cards


def _relabel(benchmark: Benchmark, table: pd.DataFrame, name: str) -> None:
    """Shows an editable list and a button that exports it as a relabel csv.

    Validation and test images are not exported unless the visitor ticks them.
    """
    facts = ("quality", "votes_given", "votes_suggested", "value", "score", "stands_in")
    columns = ["id", "label", "proposal", "reason", "split"]
    columns += [column for column in facts if column in table.columns]
    scored_ids = dataset.scored_ids(benchmark)
    scored = np.fromiter((key in scored_ids for key in table["id"]), bool, len(table))
    rows = table[columns].assign(take=~scored, caution=np.where(scored, review.SCORED, ""))
    rows["proposal"] = rows["proposal"].replace(review.ASIDE, _EXCLUDE)
    columns.insert(3, "caution")
    with st.expander("Edit and export the corrections", expanded=True):
        shown = rows.head(MAX_ROWS)
        edited = st.data_editor(
            shown,
            hide_index=True,
            disabled=[column for column in columns if column != "proposal"],
            column_order=["take", *columns] if scored.any() else _without(["take", *columns]),
            column_config=_editing(benchmark.info.labels),
            # edits are kept by row number, so another list needs another key
            key=f"list-{name}-{digest_of([benchmark.info.name, *shown['id']])}",
        )
        kept = pd.concat([edited, rows.iloc[MAX_ROWS:]])
        kept = kept[kept["take"]].drop(columns="take")
        kept["proposal"] = kept["proposal"].replace(_EXCLUDE, review.ASIDE)
        relabels = review.relabel_list(kept)
        file_name = f"{benchmark.info.name}-relabel-{name}.csv"
        download.button(
            f"Download {len(relabels):,} corrections (csv)",
            lambda: csv_text(relabels),
            file_name,
        )
        changes_scored = bool((kept["caution"] != "").any())
        st.caption(_how_to_apply(file_name, int(scored.sum()), changes_scored))
        if len(rows) > MAX_ROWS:
            st.caption(f"Only the first {MAX_ROWS:,} rows can be edited here.")


def _without(columns: Sequence[str]) -> list[str]:
    return [column for column in columns if column != "caution"]


def _how_to_apply(file_name: str, scored: int, changes_scored: bool) -> str:
    """Returns what to do with the exported list."""
    command = f"python -m training prepare ... --relabel {file_name}"
    text = ""
    if scored and not changes_scored:
        text += (
            f"{scored:,} of these images are in validation or test. Runs are scored on them, so "
            "they are not exported unless you tick them. "
        )
    if changes_scored:
        return text + (
            "Validation or test images are ticked: the result is another benchmark, on which "
            f"earlier scores do not hold. Apply the list with `{command} --new-benchmark` and a "
            "new --name; the Leaderboard then shows every run under both labels."
        )
    return text + (
        f"Apply the list with `{command}` and a new --name: changed training labels change the "
        "split hash."
    )


def _editing(labels: Sequence[str]) -> Mapping[str, ColumnConfig]:
    return {
        "take": st.column_config.CheckboxColumn("export", help="Uncheck to keep the label."),
        "proposal": st.column_config.SelectboxColumn(
            "proposal", options=[_EXCLUDE, *labels], required=True
        ),
        "caution": st.column_config.TextColumn(
            "caution", help="Tick such a row only if you want another benchmark."
        ),
        "quality": st.column_config.NumberColumn("label quality", format="%.3f"),
        "votes_given": percent_column("votes for the label"),
        "votes_suggested": percent_column("votes for the proposal"),
        "value": st.column_config.NumberColumn(format="%.3g"),
        "score": st.column_config.NumberColumn("deviations", format="%.1f"),
        "stands_in": st.column_config.TextColumn("copy in"),
    }
