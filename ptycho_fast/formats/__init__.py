"""Readers and writers of the file formats that other programs use."""
