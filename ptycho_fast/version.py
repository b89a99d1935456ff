"""The version, which the build takes from here too."""

__version__ = "0.1.0"
