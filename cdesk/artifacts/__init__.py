"""Stored results: where they lie and in which formats."""
