"""Migrations of the JSON records under `artifacts/` from earlier schema versions.

To change the schema: raise `SCHEMA_VERSION`, append the function that converts a record of the
version before, and keep a folder of that version in `tests/fixtures/`, which must still open. Files
are converted when they are read and never rewritten by reading.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

SCHEMA_VERSION = 1
"""Version that this release writes."""

Content = Mapping[str, Any]
Migration = Callable[[str, Content], Content]
"""Converts a record, given its file name, to the next version."""

MIGRATIONS: Sequence[Migration] = ()
"""The first converts version 1 to 2, the second 2 to 3, and so on."""


def migrate(file_name: str, content: Content) -> Content:
    """Returns a record in the current version.

    Args:
        file_name: Name of the file, such as `run.json`, which tells the kind of record.
        content: The record, of any version up to the current one.
    """
    version = content.get("schema_version", 1)
    if not isinstance(version, int):  # reading it says what is wrong
        return content
    for migration in MIGRATIONS[max(version, 1) - 1 :]:
        content = migration(file_name, content)
    return {**content, "schema_version": SCHEMA_VERSION} if version < SCHEMA_VERSION else content
