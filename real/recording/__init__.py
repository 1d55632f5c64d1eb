"""Recordings and reports of a session."""
