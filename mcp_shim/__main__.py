"""`python -m mcp_shim`: the server on standard input and output."""

import gc
import sys

from mcp_shim.lazy_sdk import light_dataclasses

# An import makes much and drops little: looking for garbage meanwhile costs a tenth of the start.
gc.disable()
with light_dataclasses():
    from mcp_shim.main import run_as_module

sys.exit(run_as_module())
