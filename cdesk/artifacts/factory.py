"""Where results are stored, by configuration."""

from __future__ import annotations

from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.store import ArtifactStore
from cdesk.core.config import Settings
from cdesk.core.errors import ConfigurationError
from cdesk.core.home import StateDirectory


def open_artifacts(settings: Settings, home: StateDirectory) -> ArtifactStore:
    """The store that the settings name: a bucket, or the state directory.

    Raises:
        ConfigurationError: the package that a bucket needs is missing, or its settings are wrong.
    """
    if not settings.artifacts_url:
        return LocalArtifacts(home.artifacts)
    try:
        from cdesk.artifacts.s3 import open_s3
    except ImportError:
        raise ConfigurationError(
            "artifacts_url names a bucket: its driver is missing; run: pip install 'cdesk[s3]'"
        ) from None
    try:
        return open_s3(settings, home)
    except ValueError as error:  # botocore's word for an endpoint or a region that is none
        raise ConfigurationError(f"artifacts_endpoint or artifacts_region: {error}") from None
