"""The queue's way into the warehouse."""
