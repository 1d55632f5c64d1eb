"""Tests, in the rooms' order; end-to-end tests with real processes live in tests/e2e."""
