"""`python -m mcp_shim`: the server on standard input and output."""

import sys

from mcp_shim.main import run_as_module

sys.exit(run_as_module())
