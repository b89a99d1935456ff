"""Data sets in memory: patterns, their split, their groups."""
