"""Firmware from a bundle: the pilot, images and templates for microcontrollers (docs/firmware.md)."""
