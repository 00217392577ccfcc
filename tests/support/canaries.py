"""Looking for secrets where none may be: in files, whatever is in them, and in bytes, in every form one could take."""

import asyncio
import base64
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

LEAST_BYTES = 8
"""A shorter form would be found by chance."""


def forms_of(secret: str | bytes) -> set[bytes]:
    """How a secret may look: in clear, base64 at any offset, hex, percent-encoded once or twice, in JSON, in a repr.

    No form holds a line break.
    """
    raw = secret.encode() if isinstance(secret, str) else secret
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), *_base64(raw)}
    if isinstance(secret, str):
        once = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
        found |= {text.encode() for text in once | {quote(text, safe="") for text in once}}
        found |= {text.lower().encode() for text in once}
        escaped = [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]]
        found |= {text.encode() for text in escaped} | {json.dumps(text)[1:-1].encode() for text in escaped}
    return {form for form in found if len(form) >= LEAST_BYTES and b"\n" not in form}


def _base64(raw: bytes) -> set[bytes]:
    """The characters that these bytes alone decide, wherever they begin."""
    found = set()
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + raw)
        inner = text[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return found


class Search:
    """A search for named secrets. What it answers names them, and never repeats one."""

    def __init__(self, secrets: Mapping[str, str | bytes], *, scratch: Path) -> None:
        self._names = {form: name for name, secret in secrets.items() for form in forms_of(secret)}
        longest_first = sorted(self._names, key=lambda form: -len(form))
        self._pattern = re.compile(b"|".join(re.escape(form) for form in longest_first))
        self._patterns = scratch / "patterns"
        self._patterns.write_bytes(b"\n".join(self._names) + b"\n")

    def in_bytes(self, content: bytes) -> set[str]:
        """The names of the secrets in it."""
        return {self._names[found] for found in self._pattern.findall(content)}

    async def in_files(self, paths: Iterable[Path]) -> dict[str, set[str]]:
        """The names of the secrets in each of these files that holds one, also in the files below folders."""
        command = ("grep", "-r", "-H", "-a", "-o", "-F", "--null", "-f", str(self._patterns), "--", *map(str, paths))
        running = await asyncio.create_subprocess_exec(
            *command, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await running.communicate()
        assert running.returncode in (0, 1, 2), "grep is missing"  # 2: a file went away meanwhile
        found: dict[str, set[str]] = {}
        for line in filter(None, output.split(b"\n")):  # a carriage return may be part of a key
            path, _, form = line.partition(b"\0")
            found.setdefault(path.decode(), set()).add(self._names[form])
        return found
