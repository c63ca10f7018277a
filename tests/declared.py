"""That what cdesk makes itself keeps its own declaration (seeds/activity_features.csv)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdesk.contract.activity_features import ACTIVITY_FEATURES
from cdesk.contract.events import check_features


def assert_declared(activity: str, features: Mapping[str, Any]) -> None:
    """Every key is declared for the activity, and holds what it declares. Activities of one's own
    declare none.
    """
    if activity in ACTIVITY_FEATURES:
        assert features.keys() <= ACTIVITY_FEATURES[activity].keys(), activity
        check_features(activity, features)
