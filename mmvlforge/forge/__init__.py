"""Makers of data sets: drawn news for manipulation detection, drawn captions for retrieval."""
