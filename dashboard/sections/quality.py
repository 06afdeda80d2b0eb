"""The parts of the Data quality page: each a list with reasons, and a relabel list from it."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from dashboard.cache import benchmarks, dataset
from dashboard.cache.benchmarks import Benchmark, Pictures
from dashboard.components import pickers
from dashboard.components.face_grid import Tile, face_grid
from dashboard.components.text import plain
from dashboard.sections.explorer import needs_columns, no_pictures
from dashboard.state import Key
from fer_core.data import review
from fer_core.figures import dataset as dataset_figures
from fer_core.figures.palette import class_colour

GROUPS_PER_PAGE = 8
MEMBERS_SHOWN = 12
FACES_PER_PAGE = 32
MOST_ROWS = 1000
"""Rows that can be edited on the page; the downloaded list holds all."""

_KINDS = {"all": "All", "exact": "Bit for bit", "crossing": "Across splits"}


def duplicates(chosen: Benchmark) -> None:
    """Shows duplicate groups as groups."""
    if not needs_columns(benchmarks.samples(chosen), "duplicate_group", "exact_group"):
        return
    table = dataset.review_list(chosen, "duplicates")
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
        f"{table['group'].nunique():,} groups with {len(table):,} images, largest first. The first "
        "image of a group that has a label is taken for its original; the others are proposed to "
        "be set aside. "
        "Preparation keeps a group on one side of the split in any case."
    )
    _groups(chosen, table)
    _relabel(chosen, table, "duplicates")


def leaks(chosen: Benchmark) -> None:
    """Shows held-out images whose copy stands in a split that learns or chooses."""
    table = dataset.review_list(chosen, "leaks")
    if table.empty:
        st.success("No held-out image has a copy on the training side.", icon=":material/check:")
        return
    split = pickers.switch(
        "Held-out split", {"test": "Test", "validation": "Validation"}, Key.HELD_OUT
    )
    table = table[table["split"] == split]
    same = table["same_label"].mean() if len(table) else 0
    st.caption(
        f"{len(table):,} {split} images have an exact or near copy in a split that learns or "
        f"chooses, as the sources had it; {same:.0%} of them under the same label. The benchmark "
        "has closed these leaks: the training side gave its copies up. The proposal to set them "
        "aside is for those who want a test set without them."
    )
    _faces(chosen, table)
    _relabel(chosen, table, f"leaks-{split}")


def conflicts(chosen: Benchmark) -> None:
    """Shows duplicate groups whose members are labelled differently."""
    table = dataset.review_list(chosen, "conflicts")
    if table.empty:
        st.success("No duplicate group carries two labels.", icon=":material/check:")
        return
    st.caption(
        f"{table['group'].nunique():,} groups of copies with {len(table):,} labelled images carry "
        "more than one label: at least one of each group is wrong. Proposed is the label of the "
        "majority; without one, the group is proposed to be set aside."
    )
    _groups(chosen, table)
    _relabel(chosen, table, "conflicts")


def outliers(chosen: Benchmark) -> None:
    """Shows images with extreme light, contrast, sharpness or framing."""
    table = dataset.review_list(chosen, "outliers")
    if table.empty:
        st.success("No image stands far from the rest.", icon=":material/check:")
        return
    counts = table["reason"].value_counts()
    names = {"all": f"All {len(table):,}"} | {
        str(reason): f"{str(reason).capitalize()} {count:,}" for reason, count in counts.items()
    }
    reason = pickers.switch("Reason", names, Key.REASON)
    if reason != "all":
        table = table[table["reason"] == reason]
    st.caption(
        "Images more than 3.5 robust deviations from the median (modified z-score), most extreme "
        "first. Not every outlier is a fault: look before you set it aside."
    )
    _faces(chosen, table)
    _relabel(chosen, table, "outliers")


def labels(chosen: Benchmark) -> None:
    """Shows likely label errors, and what they mean for each model's score."""
    found = dataset.judges(chosen)
    judges = found.runs
    if found.dropped:
        st.warning(
            f"These networks do not judge, as their predictions cannot be read or are for other "
            f"samples: {plain(', '.join(found.dropped))}.",
            icon=":material/warning:",
        )
    if not judges:
        st.info(
            "Likely label errors are found from trained models' answers to validation and test "
            "images, and this benchmark has no readable one yet. Train one:"
        )
        pickers.train_command(chosen.info.name)
        return
    table = dataset.label_issues(chosen)
    if table.empty:
        st.success("No label looks wrong to the models.", icon=":material/check:")
        return
    st.caption(
        f"{len(table):,} labels of validation and test are likely wrong: the average answer of "
        f"{len(judges)} trained {'network' if len(judges) == 1 else 'networks'}, none of which has "
        "seen these images in training, speaks for another class about as surely as it does for "
        "images of that class (confident learning). Worst first."
    )
    if len(judges) == 1:
        st.warning(
            "One network alone judges here, so its own mistakes count as label errors. With two or "
            "more networks each is judged by the others.",
            icon=":material/gavel:",
        )
    if "votes_given" in table.columns:
        st.caption(
            f"What annotators voted: on these images {table['votes_given'].mean():.0%} for the "
            f"given label and {table['votes_suggested'].mean():.0%} for the suggested one, on "
            "average."
        )
    _faces(chosen, table)
    _relabel(chosen, table, "labels")
    _cleared(chosen)


def _cleared(chosen: Benchmark) -> None:
    st.subheader("What that means for the scores", anchor=False)
    rows = dataset.cleared(chosen)
    titles = chosen.titles
    table = pd.DataFrame(
        {
            "model": [titles[row.run_id] for row in rows],
            "test errors": [row.errors for row in rows],
            "likely label errors among them": [row.suspect_errors for row in rows],
            "share of errors": [row.share for row in rows],
            "accuracy": [row.accuracy for row in rows],
            "without suspect labels": [row.accuracy_without for row in rows],
            "judged by": ["the others" if row.judged_by_others else "itself" for row in rows],
        }
    ).sort_values("accuracy", ascending=False, ignore_index=True)
    st.plotly_chart(
        dataset_figures.cleared_chart(
            [
                (titles[row.run_id], chosen.colours[row.run_id], row.accuracy, row.accuracy_without)
                for row in sorted(rows, key=lambda row: row.accuracy)
            ]
        ),
        key="cleared",
    )
    st.caption(
        "Hollow: accuracy on all test images. Full: on those whose label the judges do not doubt. "
        "The full dot is no better measurement: models err alike, so that a hard image can look "
        "like a wrong label, and what is left is easier."
    )
    share = st.column_config.NumberColumn(format="percent")
    st.dataframe(
        table,
        hide_index=True,
        column_config=dict.fromkeys(
            ("share of errors", "accuracy", "without suspect labels"), share
        ),
        key="cleared-table",
    )


def _groups(chosen: Benchmark, table: pd.DataFrame) -> None:
    """Shows one page of groups, each with its faces or rows."""
    numbers = table["group"].unique()
    page = pickers.page(len(numbers), GROUPS_PER_PAGE)
    shown = numbers[page * GROUPS_PER_PAGE : (page + 1) * GROUPS_PER_PAGE]
    pictures = benchmarks.pictures(chosen)
    if pictures is None:
        no_pictures(chosen)
        st.dataframe(table[table["group"].isin(shown)], hide_index=True, key="groups")
        return
    for number in shown:
        members = table[table["group"] == number]
        kinds = members["label"].dropna().unique()
        note = f"{len(members)} images in {', '.join(sorted(members['split'].unique()))}"
        if len(kinds) > 1:
            note += f", labelled {' and '.join(sorted(kinds))}"
        if (hidden := len(members) - MEMBERS_SHOWN) > 0:
            note += f"; {hidden} more not shown"
        with st.container(border=True):
            st.caption(note)
            _grid(chosen, members.head(MEMBERS_SHOWN), pictures, 96)


def _faces(chosen: Benchmark, table: pd.DataFrame) -> None:
    """Shows one page of a list as faces, where there are pictures."""
    pictures = benchmarks.pictures(chosen)
    if pictures is None:
        no_pictures(chosen)
        return
    page = pickers.page(len(table), FACES_PER_PAGE)
    _grid(chosen, table.iloc[page * FACES_PER_PAGE : (page + 1) * FACES_PER_PAGE], pictures, 112)


def _grid(chosen: Benchmark, rows: pd.DataFrame, pictures: Pictures, side: int) -> None:
    names = chosen.info.labels
    faces = []
    for row in rows.itertuples(index=False):
        label = row.label if isinstance(row.label, str) else "no class"
        proposed = row.proposal if row.proposal not in ("", label) else ""
        colour = class_colour(label, names) if label in names else "transparent"
        faces.append(Tile(row.id, label + (f" → {proposed}" if proposed else ""), row.id, colour))
    face_grid(faces, pictures, side=side)


def _relabel(chosen: Benchmark, table: pd.DataFrame, name: str) -> None:
    """Shows a list for editing, and gives it as a relabel csv."""
    names = list(chosen.info.labels)
    facts = [
        column
        for column in ("quality", "votes_given", "votes_suggested", "value", "score", "stands_in")
        if column in table.columns
    ]
    columns = ["id", "label", "proposal", "reason", "split", *facts]
    with st.expander("As a list: correct it and take it along", expanded=True):
        shown = table[columns].head(MOST_ROWS).assign(take=True)
        edited = st.data_editor(
            shown,
            hide_index=True,
            disabled=[column for column in columns if column != "proposal"],
            column_order=["take", *columns],
            column_config=_editing(names),
            key=f"list-{name}",
        )
        rest = table[columns].iloc[MOST_ROWS:]
        taken = pd.concat([edited[edited["take"]].drop(columns="take"), rest])
        taken["proposal"] = taken["proposal"].fillna("")
        relabels = review.relabel_list(taken)
        st.download_button(
            f"Download {len(relabels):,} corrections (csv)",
            relabels.to_csv(index=False),
            file_name=f"{chosen.info.name}-relabel-{name}.csv",
            mime="text/csv",
            icon=":material/download:",
        )
        st.caption(
            "An empty proposal sets the image aside. Use the list with "
            f"`python -m training prepare ... --relabel {chosen.info.name}-relabel-{name}.csv` "
            "under another --name: other labels make another benchmark."
            + (f" The first {MOST_ROWS:,} rows can be edited here." if len(rest) else "")
        )


def _editing(names: list[str]) -> Mapping[str, object]:
    share = st.column_config.NumberColumn(format="percent")
    return {
        "take": st.column_config.CheckboxColumn("take", help="Untick what shall stay as it is."),
        "proposal": st.column_config.SelectboxColumn(
            "proposal", options=["", *names], help="Empty: set the image aside."
        ),
        "quality": st.column_config.NumberColumn("label quality", format="%.3f"),
        "votes_given": share,
        "votes_suggested": share,
        "value": st.column_config.NumberColumn(format="%.3g"),
        "score": st.column_config.NumberColumn("deviations", format="%.1f"),
    }
