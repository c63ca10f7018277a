"""The exception tree. Those with a module behind them are defined there.

CdeskError                  code, message for a person, and what to do about it
├── InvalidField            an argument or record field outside its limits: field, problem, allowed
├── Drift                   a line that is no record of the contract: reason, detail
├── Forbidden               another customer's anything, or a role that is missing
├── Unauthorized            a caller over HTTP whom nobody knows (mcp_shim.auth)
├── IssuerUnavailable       its keys cannot be had (mcp_shim.transports.http_oauth)
├── TooMany                 a limit of the caller's own is reached (mcp_shim.limits)
├── Refused                 an HTTP request that is none of ours (mcp_shim.transports.http)
├── NotFound                a ticket, template or file that does not exist for this caller
├── ConfigurationError      a setting that cannot be used
├── StateDirectoryError     CDESK_HOME cannot be read or written
│   └── NewerVersion            a newer cdesk wrote it: upgrade this one
├── QueueWriteError         a record could not be put into the queue; nothing half-written is left
├── ImportRefused           a history cannot be brought in as it is (uploader.sources.history)
├── CatalogError            catalog.json is unreadable, or of another version
│   └── CatalogPending          missing, or not what was compiled here: a worker writes it
├── CatalogChanged          a ticket's template is another one by now (cdesk_app.worker.tickets)
├── ArtifactStoreError      the place where results are stored does not answer, or refuses
├── ArtifactUnreadable      a stored result is gone, damaged or half-written
├── SetUpFailed             the worker's packages cannot be installed (cdesk_app.ops.runtime)
├── SnapshotError           context.db is missing or cannot be used
│   └── SnapshotDamaged         it is no sound database any more: the worker makes a new one
├── KillSwitchActive        queries are refused by decision
├── BackupRefused           a file is no sound backup, or cannot become one (cdesk_app.ops.backup)
├── LegalHold               what is to be erased must be kept
├── LinkRefused             a link of a card is forged, expired or revoked (cdesk_app.render.links)
├── Gone                    what a card showed is not kept any more (cdesk_app.render.card)
├── WarehouseError          the warehouse answered with an error
│   ├── WarehouseUnavailable    down, locked or too slow: worth trying again
│   │   └── WarehouseRewound        put back to an older state: what has landed must be asked anew
│   ├── WarehouseNotBuilt       the tables are not there yet: run a build
│   ├── TooManyRefused          a batch in which it refuses nearly every line (uploader.landing)
│   ├── CopyFailed              no copy to read from: the file itself is (cdesk.warehouse.read_copy)
│   ├── QueryTimedOut           a query ran past its time limit and was stopped
│   └── QueryCancelled          a query was stopped because its caller asked for it
└── BuildError              a dbt invocation failed
    └── BuildBlocked            something else holds what it needs (cdesk_app.worker.dbt.build)
"""

from __future__ import annotations


class CdeskError(Exception):
    """Base of all errors that are meant for a person.

    `code` is stable and machine-readable; `str(error)` is one line that says what is wrong and what
    to do.
    """

    code = "error"


class InvalidField(CdeskError):
    """A value outside its limits. The message names the field, the problem and what is allowed."""

    code = "invalid_argument"

    def __init__(self, field: str, problem: str, allowed: str) -> None:
        super().__init__(f"{field}: {problem}; allowed: {allowed}")
        self.field = field
        self.problem = problem
        self.allowed = allowed


class Drift(CdeskError):
    """A line that does not keep the record contract. `reason` is stable, `detail` names field and
    problem.
    """

    code = "drift"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Forbidden(CdeskError):
    code = "forbidden"


class NotFound(CdeskError):
    code = "not_found"


class ConfigurationError(CdeskError):
    code = "configuration"


class StateDirectoryError(CdeskError):
    code = "state_directory"


class NewerVersion(StateDirectoryError):
    code = "newer_version"


class QueueWriteError(CdeskError):
    code = "queue_write_failed"


class CatalogError(CdeskError):
    code = "catalog_unavailable"


class CatalogPending(CatalogError):
    """Missing, or not what was compiled here: a worker that runs, or will, writes it."""


class ArtifactStoreError(CdeskError):
    code = "artifact_store_unavailable"


class ArtifactUnreadable(CdeskError):
    code = "artifact_unreadable"


class SnapshotError(CdeskError):
    code = "snapshot_unavailable"


class SnapshotDamaged(SnapshotError):
    code = "snapshot_unavailable"


class KillSwitchActive(CdeskError):
    code = "kill_switch_active"


class LegalHold(CdeskError):
    code = "legal_hold"


class WarehouseError(CdeskError):
    code = "warehouse_error"


class WarehouseUnavailable(WarehouseError):
    code = "warehouse_unavailable"


class WarehouseRewound(WarehouseUnavailable):
    code = "warehouse_rewound"


class WarehouseNotBuilt(WarehouseError):
    code = "warehouse_not_built"


class QueryTimedOut(WarehouseError):
    code = "query_timeout"


class QueryCancelled(WarehouseError):
    code = "cancelled"


class BuildError(CdeskError):
    code = "build_failed"


def shown(value: object) -> str:
    """The value (or name) for an error message: at most 60 characters, whatever it is (a megabyte
    of text, an array a million deep).
    """
    if isinstance(value, str):
        text = ascii(value[:60]) if not value[:60].isprintable() else repr(value[:60])
        return text if len(value) <= 60 and len(text) <= 60 else text[:57] + "…"
    if isinstance(value, list | tuple):
        return f"an array of {len(value):,}"
    if isinstance(value, dict):
        return f"an object of {len(value):,}"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 64:
        return "an integer beyond 64 bits"
    return repr(value)[:60]
