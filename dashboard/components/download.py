"""The download button."""

from collections.abc import Callable
from mimetypes import guess_type
from typing import Literal

import streamlit as st


def button(
    label: str,
    content: str | bytes | Callable[[], str | bytes],
    file_name: str,
    *,
    icon: str = ":material/download:",
    help: str | None = None,
    width: Literal["content", "stretch"] = "content",
) -> None:
    """Shows a button that downloads a file.

    A click does not rerun the page. If it did, Streamlit could lose the file: the start of a run
    discards a response about a made file that it has not sent yet, and the end of a run deletes
    files that the page no longer refers to.

    Args:
        label: Text on the button.
        content: The content, or a function that makes it after the click.
        file_name: Name of the file; its ending decides the media type.
        icon: Icon before the label.
        help: Text of the tooltip.
        width: Width of the button.
    """
    st.download_button(
        label,
        content,
        file_name=file_name,
        mime=guess_type(file_name)[0],
        icon=icon,
        help=help,
        width=width,
        key=f"download {file_name}",
        on_click="ignore",
    )
