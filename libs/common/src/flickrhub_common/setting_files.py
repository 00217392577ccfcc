"""Settings in files: ``NAME_FILE`` names a file whose content is the value of ``NAME``.

So secrets are mounted by Kubernetes and by container engines. What a file holds is repeated by no error.
"""

import os
import stat
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

LARGEST_BYTES = 64 * 1024


class BadSettingFile(Exception):
    """A file that a variable names can't be used; the message names the variable and never the content."""


def read_setting(path: str, *, variable: str) -> str:
    """The value in the file at ``path``, which ``variable`` named: its text without the line ending at its end.

    Raises BadSettingFile when it can't be read, is a pipe or a device, isn't UTF-8, is empty, holds several lines or
    more than 64 KiB.
    """
    try:
        content = _content(path, variable=variable)
        value = content.decode().removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        # A UnicodeDecodeError carries what was in the file, so it isn't to be shown with ours.
        raise BadSettingFile(f"{variable}: the file can't be read ({type(error).__name__})") from None
    if not value.strip():
        raise BadSettingFile(f"{variable}: the file is empty")
    if len(content) > LARGEST_BYTES:
        raise BadSettingFile(f"{variable}: the file is larger than {LARGEST_BYTES // 1024} KiB")
    if "\n" in value or "\r" in value:
        raise BadSettingFile(f"{variable}: the file holds more than one line")
    return value


def _content(path: str, *, variable: str) -> bytes:
    with open(path, "rb", opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise BadSettingFile(f"{variable}: the file is a pipe or a device")
        return file.read(LARGEST_BYTES + 1)


def _at_once(path: str, flags: int) -> int:
    """Opens a pipe, too, without waiting for whoever may write into it."""
    return os.open(path, flags | os.O_NONBLOCK)


class FilesSource(EnvSettingsSource):
    """Where pydantic finds NAME when NAME_FILE is set; both at once end the process, as they contradict each other."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = field_name.upper()
        path = self.env_vars.get(f"{field_name}_file")
        if not path:
            return None, field_name, False
        if self.env_vars.get(field_name):
            raise SystemExit(f"{name}: given twice, as {name} and by {name}_FILE; set one of them")
        try:
            return read_setting(path, variable=f"{name}_FILE"), field_name, False
        except BadSettingFile as error:
            raise SystemExit(str(error)) from None

    def prepare_field_value(self, field_name: str, field: FieldInfo, value: Any, value_is_complex: bool) -> Any:
        return value
