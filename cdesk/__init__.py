"""The ground floor: the vocabulary that every other folder shares. Imports nothing of ours."""

__version__ = "0.2.0"
