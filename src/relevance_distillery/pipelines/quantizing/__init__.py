"""Quantizing: a labeler becomes a version in int8 that processors read faster."""
