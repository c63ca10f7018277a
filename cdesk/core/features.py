"""What can be switched off by itself, so that a team takes on one part after another: `[features]`
in config.toml. `cdesk status` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cdesk.core.errors import ConfigurationError, shown


@dataclass(frozen=True, slots=True)
class Feature:
    """One part that can be switched. `since` is the version that brought it."""

    name: str
    default: bool
    since: str
    text: str


CAPTURE: Final = Feature(
    "capture", True, "0.2.0", "following Claude's own histories, where [capture] turns it on"
)
HTTP: Final = Feature("http", True, "0.1.0", "the MCP server over HTTP (cdesk mcp --http)")
APPS: Final = Feature("apps", True, "0.1.0", "cards in the conversation, where a client shows them")
STREAMING: Final = Feature(
    "streaming", True, "0.1.0", "landing by Snowpipe Streaming, where there is a pipe"
)
METRICS: Final = Feature("metrics", True, "0.2.0", "/metrics, where it is configured or asked for")
TRACES: Final = Feature("traces", True, "0.2.0", "traces over OTLP, where an endpoint is set")
COST_GUARD: Final = Feature("cost_guard", True, "0.2.0", "the kill switch turned at a cost's cap")
DEGRADATION: Final = Feature(
    "degradation", True, "0.2.0", "what can wait is given up under pressure"
)
FEATURES: Final = (CAPTURE, HTTP, APPS, STREAMING, METRICS, TRACES, COST_GUARD, DEGRADATION)
NAMES: Final = tuple(feature.name for feature in FEATURES)


@dataclass(frozen=True, slots=True)
class Features:
    """Which features differ from their defaults."""

    switched: frozenset[str] = frozenset()

    def has(self, feature: Feature) -> bool:
        """Whether the feature is on."""
        return feature.default is not (feature.name in self.switched)

    def require(self, feature: Feature) -> None:
        """Raises ConfigurationError where the feature is off."""
        if not self.has(feature):
            raise ConfigurationError(
                f"the feature {feature.name!r} is off here ({feature.text}); "
                f"{feature.name} = true under [features] in config.toml turns it on"
            )


NONE_SWITCHED: Final = Features()


def read_features(table: Mapping[str, object]) -> Features:
    """The features of a table `[features]`, of which each name is known.

    Raises:
        ConfigurationError: a value that is not true or false.
    """
    for name, value in table.items():
        if not isinstance(value, bool):
            raise ConfigurationError(f"features.{name} is {shown(value)}; allowed: true, false")
    return Features(
        frozenset(
            feature.name
            for feature in FEATURES
            if table.get(feature.name, feature.default) is not feature.default
        )
    )
