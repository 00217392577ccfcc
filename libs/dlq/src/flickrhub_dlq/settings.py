"""Where the broker is."""

from typing import Any

from pydantic_settings import PydanticBaseSettingsSource, SettingsConfigDict

from flickrhub_common.settings import RabbitSettings, Settings


class DlqSettings(RabbitSettings):
    """``RABBIT_URL``, or the file that ``RABBIT_URL_FILE`` names; nothing else of the environment matters here."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    @classmethod
    def settings_customise_sources(cls, *sources: Any, **named: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        """The same sources as every service's."""
        return Settings.settings_customise_sources(*sources, **named)
