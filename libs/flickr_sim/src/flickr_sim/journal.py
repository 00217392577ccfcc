"""A journal of apps, access tokens and uploads, so that a simulator that was killed still honours what it gave out.

One JSON object a line, appended and handed to the operating system at once: that survives the death of the process,
which is what it is for. A last line cut short by the death is skipped.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any


class Journal:
    """An append-only file of small events; without a path it remembers nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def replay(self, remember: Callable[[dict[str, Any]], None]) -> None:
        """Hand every event written earlier to `remember`, oldest first."""
        if self._path is None or not self._path.exists():
            return
        for line in self._path.read_text("utf-8", "replace").splitlines():
            try:
                event = json.loads(line)
                remember(event)
            except (ValueError, KeyError, TypeError):
                continue

    def write(self, event: dict[str, Any]) -> None:
        """Append one event."""
        if self._path is None:
            return
        if self._file is None:
            self._file = self._open()
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()

    def forget(self) -> None:
        """Empty the file."""
        self.close()
        if self._path is not None and self._path.exists():
            self._path.write_text("", "utf-8")

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> IO[str]:
        if self._path is None:
            raise ValueError("a journal without a path can't be written")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Token secrets of the simulator open nothing else, but a private file costs nothing.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        file = os.fdopen(descriptor, "a", encoding="utf-8")
        if self._path.stat().st_size and not self._path.read_bytes().endswith(b"\n"):
            file.write("\n")  # a line cut short must not swallow the next one
        return file
