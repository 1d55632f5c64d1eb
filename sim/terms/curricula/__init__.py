"""Curricula that suit every family of tasks; those of one family are in its own folder."""
