"""Runs that make files: streamed, in shards, and resumed where they were ended."""
