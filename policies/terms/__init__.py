"""Observation and action terms: plain torch functions of named sensors."""
