"""Where everything of a run lies."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.stack.errors import BadSetting

MARKER = "# Made by FlickrHub's local stack; `make clean` removes this folder.\n*\n"
# A unix socket's path has 107 bytes, and supervisor appends its pid while it creates the socket.
LONGEST_SOCKET_PATH = 95


@dataclass(frozen=True)
class Places:
    """The repository and the run folder (`RUN_DIR`, by default `.run` in the repository)."""

    root: Path
    run: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Places":
        """The places this call works with; a relative RUN_DIR is relative to the repository."""
        root = Path(__file__).resolve().parents[3]
        return cls(root=root, run=Path(os.path.normpath(root / (environ.get("RUN_DIR") or ".run"))))

    @property
    def logs(self) -> Path:
        return self.run / "logs"

    @property
    def pids(self) -> Path:
        return self.run / "pids"

    @property
    def programs(self) -> Path:
        """What each process is started with, and who it was: `<process>.json`, `<process>.identity`."""
        return self.run / "programs"

    @property
    def data(self) -> Path:
        return self.run / "data"

    @property
    def env_file(self) -> Path:
        return self.run / "env"

    @property
    def plan_file(self) -> Path:
        return self.run / "plan.json"

    @property
    def secrets_file(self) -> Path:
        return self.run / "secrets.json"

    @property
    def supervisor_conf(self) -> Path:
        return self.run / "supervisord.conf"

    @property
    def socket(self) -> Path:
        """supervisor's socket: in the run folder, or under the temporary folder when that path is too long for one."""
        path = self.run / "supervisor.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            return path
        digest = hashlib.sha256(os.fsencode(self.run)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"flickrhub-{os.getuid()}-{digest}" / "supervisor.sock"

    def shown(self, path: Path) -> str:
        """`path` as a user in the repository would type it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def is_ours(self) -> bool:
        """Whether the run folder was made by the local stack."""
        marker = self.run / ".gitignore"
        return marker.is_file() and marker.read_text(encoding="utf-8") == MARKER

    def create(self) -> None:
        """Make the folders, readable by this user only.

        Raises BadSetting when RUN_DIR is a folder with somebody else's things in it.
        """
        if self.run.exists() and not self.is_ours() and any(self.run.iterdir()):
            raise BadSetting(f"RUN_DIR={self.shown(self.run)} isn't empty and isn't ours: choose another folder")
        for folder in (self.run, self.logs, self.pids, self.programs, self.data):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        (self.run / ".gitignore").write_text(MARKER, encoding="utf-8")
        self.socket.parent.mkdir(mode=0o700, exist_ok=True)

    def forget(self) -> None:
        """Remove the run folder with everything in it."""
        if self.run.exists() and not self.is_ours():
            raise BadSetting(f"RUN_DIR={self.shown(self.run)} isn't a folder of the local stack: not removed")
        shutil.rmtree(self.run, ignore_errors=True)


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; only this user may read it."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)
