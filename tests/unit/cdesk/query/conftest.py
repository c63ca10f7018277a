"""The desk of the tests beside this file."""

from __future__ import annotations

from query_desk import desk

__all__ = ["desk"]
