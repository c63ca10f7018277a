"""The MCP server over standard input and output: the way in."""

from __future__ import annotations

import gc
import logging
import os
import sys
from typing import Final

from cdesk.contract.redaction import redact_value
from cdesk.core.config import Settings, load_settings
from cdesk.core.errors import CdeskError
from cdesk.core.home import StateDirectory
from cdesk.core.log import set_up_logging
from mcp_shim import lazy_sdk

logger = logging.getLogger(__name__)


WAITS: Final = (
    "cdesk: this is the MCP server; it waits for a client's messages on standard input. "
    "'cdesk connect' has Claude start it; Ctrl-C ends it"
)
"""What a person sees who starts it in a terminal."""


def main(settings: Settings) -> int:
    """Serve one client until its input ends or a signal comes; the exit code.

    Raises:
        CdeskError: the state directory cannot be used.
    """
    home = StateDirectory(settings.home).ensure()
    set_up_logging(None, settings.environ, credentials=redact_value, only_ours=True)
    # An import makes much and drops little: looking for garbage meanwhile costs a tenth of the
    # start.
    gc.disable()
    if lazy_sdk.install():
        # Otherwise pydantic reads the metadata of every installed package, looking for plugins.
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    elif (reason := lazy_sdk.unmeasured()) is not None:
        logger.warning("the SDK is imported in full", extra={"facts": {"reason": reason}})
    with lazy_sdk.light_dataclasses(), lazy_sdk.light_patterns():
        from mcp_shim.transports.stdio import serve  # brings the SDK: not before `install`
    lazy_sdk.settle()

    if sys.stdin is not None and sys.stdin.isatty():
        print(WAITS, file=sys.stderr)  # noqa: T201
    serve(settings, home)
    return 0


def run_as_module() -> int:
    """`python -m mcp_shim`: settings from the environment, errors as one line on standard error."""
    try:
        return main(load_settings(os.environ))
    except CdeskError as error:
        print(f"cdesk: {error}", file=sys.stderr)  # noqa: T201
        return 1
