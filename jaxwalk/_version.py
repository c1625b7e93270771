"""The version, as the package and what it writes say it."""

__version__ = "0.1.0"
