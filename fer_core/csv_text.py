"""Tables as csv that spreadsheet programs show as text, never as formulas."""

import re

import pandas as pd

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED = re.compile(r"^'(?='*[=+\-@\t\r])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def csv_text(table: pd.DataFrame, float_format: str | None = None) -> str:
    """Returns a table as csv, without its index.

    File names and labels may come from outside. A cell or column name that a spreadsheet would
    take for a formula (it begins with `=`, `+`, `-`, `@`, tab or carriage return, and is no
    number) gets a leading apostrophe, as OWASP's "CSV Injection" advises. So does one that already
    has apostrophes before such a character, so that `exported_text` gives back each cell.

    Args:
        table: The table.
        float_format: Format of floats, such as `%.6g`; all digits by default.
    """
    safe = table.rename(columns=_harmless)
    texts = safe.select_dtypes(include=["object", "string", "category"]).columns
    safe = safe.assign(**{name: safe[name].astype(object).map(_harmless) for name in texts})
    return str(safe.to_csv(index=False, float_format=float_format))


def exported_text(cells: "pd.Series[str]") -> "pd.Series[str]":
    """Returns the texts that `csv_text` wrote, without the apostrophes that it added.

    Args:
        cells: Texts as read from the csv; missing ones stay missing.
    """
    return cells.str.replace(_ESCAPED, "", regex=True)


def _harmless(cell: object) -> object:
    if not isinstance(cell, str) or not _FORMULA.match(cell) or _NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}"
