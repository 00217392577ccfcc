"""Where prometheus and promtool are: on the PATH, else where `bootstrap.sh prometheus` unpacked them."""

import os
import shutil

from deploy.local.stack.executables import SEARCH_PATH
from tests.support.run_env import ROOT

UNPACKED = ROOT / ".venv" / "prometheus" / "usr" / "bin"


def program(name: str) -> str | None:
    """The path of a program of Prometheus', if it is there."""
    return shutil.which(name, path=os.pathsep.join((SEARCH_PATH, str(UNPACKED))))
