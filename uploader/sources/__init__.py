"""Histories that are brought in."""
