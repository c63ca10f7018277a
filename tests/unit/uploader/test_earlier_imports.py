"""Asking the warehouse what was brought in before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cdesk.core.errors import CdeskError, WarehouseNotBuilt, WarehouseUnavailable
from cdesk.core.identity import Caller
from uploader.earlier_imports import HISTORIES, landed_records


@pytest.mark.parametrize("patient", [True, False])
@pytest.mark.parametrize("error", [WarehouseUnavailable("held"), WarehouseNotBuilt("not yet")])
def test_who_can_come_again_does_while_the_warehouse_is_held(
    error: CdeskError, patient: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    template = SimpleNamespace(check_params=lambda _: {}, bind=lambda *_, **__: ())
    catalog = SimpleNamespace(get=lambda: SimpleNamespace(get=lambda _: template))
    found = landed_records(
        cast(Any, SimpleNamespace(run_template=refuse)),
        cast(Any, catalog),
        Caller("ada@example.com"),
        HISTORIES,
        patient=patient,
    )
    if patient and isinstance(error, WarehouseUnavailable):
        with pytest.raises(WarehouseUnavailable):
            list(found)
    else:
        assert list(found) == []
