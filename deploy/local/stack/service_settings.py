"""Whether the services could use their settings, asked before anything is started."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic_settings import BaseSettings

from deploy.local.stack.errors import BadSetting
from flickr_sim.settings import Settings as SimSettings
from flickrhub_auth.settings import AuthSettings
from flickrhub_common.settings import load
from flickrhub_executor.settings import ExecutorSettings
from flickrhub_gateway.settings import GatewaySettings
from flickrhub_notifier.settings import NotifierSettings

SETTINGS: dict[str, type[BaseSettings]] = {
    "auth": AuthSettings,
    "gateway": GatewaySettings,
    "executor": ExecutorSettings,
    "notifier": NotifierSettings,
    "flickr": SimSettings,
}


def ensure_usable(process: str, environment: Mapping[str, str], *, folder: Path) -> None:
    """Raise BadSetting, as the service itself would say it, if it couldn't start with this environment.

    ``folder`` is where it would run. For a moment the environment of this process is replaced.
    """
    settings = SETTINGS[process.partition("-")[0]]
    with contextlib.chdir(folder), _instead(environment):
        try:
            load(settings)
        except SystemExit as refused:
            raise BadSetting(f"{settings.model_config.get('env_prefix', '')}{refused}") from None


@contextlib.contextmanager
def _instead(environment: Mapping[str, str]) -> Iterator[None]:
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
