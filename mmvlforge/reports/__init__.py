"""Test runs as self-contained HTML pages."""
