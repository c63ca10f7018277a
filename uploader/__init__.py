"""The queue's way into the warehouse."""

from uploader.uploader import DrainReport, Uploader

__all__ = ["DrainReport", "Uploader"]
