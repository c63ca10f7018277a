"""`python -m mcp_shim`: the server on standard input and output."""

import gc
import sys

from mcp_shim import lazy_sdk

# An import makes much and drops little: looking for garbage meanwhile costs a tenth of the start.
gc.disable()
lazy_sdk.install()
with lazy_sdk.light_dataclasses(), lazy_sdk.light_patterns():
    from mcp_shim.main import run_as_module

sys.exit(run_as_module())
