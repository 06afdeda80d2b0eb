"""Attaching pictures to a benchmark that was published without them.

An upload stays in the visitor's session. A path is offered only where the visitor may read this
machine's disk: if the server listens on localhost alone, or below `FERSCOPE_PICTURES`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st

from dashboard.cache import uploads
from dashboard.cache.benchmarks import Benchmark, data_folder, samples
from dashboard.components.text import plain
from fer_core.data.attach import AttachedPictures, attach, match_pictures, path_below, tree_pictures
from fer_core.data.sources.tree import uploaded_trees
from fer_core.errors import FerscopeError

ROOT_VARIABLE = "FERSCOPE_PICTURES"
MAX_UPLOAD_MB = 128
"""A zip of fer2013.csv has about 97 MB."""

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def need_pictures(benchmark: Benchmark, key: str) -> None:
    """Says that pictures are missing, and lets the visitor attach them.

    Args:
        benchmark: The benchmark.
        key: Prefix of the widgets' keys, different for each place of a page.
    """
    st.info(
        "The pictures of this benchmark are not on this machine, so ids are shown instead of "
        "faces. "
        "Attach your own copy of the data: nothing is prepared, and the benchmark does not change.",
        icon=":material/hide_image:",
    )
    attach_pictures(benchmark, key)


def attach_pictures(benchmark: Benchmark, key: str) -> None:
    """Shows the fields that attach pictures; keys as in `need_pictures`."""
    with st.expander("Attach pictures", icon=":material/attach_file:"):
        files = st.file_uploader(
            "A csv of pixels, a zip, or picture files",
            accept_multiple_files=True,
            max_upload_size=MAX_UPLOAD_MB,
            key=f"{key}-attach-files",
            help="Pictures are found by their content, whatever files and folders are called.",
        )
        root = pictures_root()
        text = ""
        if root is not None:
            text = st.text_input(
                "Or a path on this machine",
                key=f"{key}-attach-path",
                placeholder="fer2013.csv",
                help=f"A csv, a zip or tar file, or a folder, below {plain(str(root))}.",
            )
        if st.button(
            "Attach", key=f"{key}-attach", icon=":material/attach_file:",
            disabled=not (files or text),
        ):  # fmt: skip
            _attach(benchmark, [(file.name, file.getvalue()) for file in files or ()], root, text)
        st.caption(
            "An upload stays in this server's memory for your visit. To keep pictures: "
            f"`python -m training attach {benchmark.info.name} path/to/the/data`"
        )


def pictures_root() -> Path | None:
    """Returns the folder below which this visitor may name a path, or None."""
    if configured := os.environ.get(ROOT_VARIABLE):
        return Path(configured)
    local = is_local(str(st.get_option("server.address") or ""), st.context.headers.to_dict())
    return Path.home() if local else None


def is_local(address: str, headers: Mapping[str, str]) -> bool:
    """Whether only this machine's users can reach the server, as far as it can tell.

    Args:
        address: Address that the server listens on; empty for all.
        headers: Headers of the visitor's request. A proxy adds some, and a page of another site
            that is pointed at this machine has another host.
    """
    names = {name.lower(): value for name, value in headers.items()}
    host = urlsplit(f"//{names.get('host', '')}").hostname
    return address in _LOCAL and host in _LOCAL and not any(name in names for name in _FORWARDED)


def _attach(
    benchmark: Benchmark, files: list[tuple[str, bytes]], root: Path | None, text: str
) -> None:
    try:
        with st.spinner("Matching pictures ..."):
            attached = (
                _from_upload(benchmark, files)
                if files
                else attach(
                    benchmark.directory, data_folder(benchmark), path_below(root or Path(), text)
                )
            )
    except FerscopeError as error:
        st.error(plain(str(error)))
        return
    if not attached.rows:
        st.warning(
            f"None of the {attached.read:,} pictures is one of this benchmark's "
            f"{attached.samples:,}. Attach the data that it was made from.",
            icon=":material/image_search:",
        )
        return
    st.toast(attached.summary, icon=":material/check:", duration="long")
    st.rerun()


def _from_upload(benchmark: Benchmark, files: list[tuple[str, bytes]]) -> AttachedPictures:
    pictures = tree_pictures(uploaded_trees(files))
    attached = match_pictures(benchmark.info, samples(benchmark).reset_index(drop=True), pictures)
    if attached.rows:
        uploads.keep_in_session(benchmark, attached)
    return attached
