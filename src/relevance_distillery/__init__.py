"""Relevance Distillery: your documents become your own relevance labeler."""

__version__ = "0.1.0"
