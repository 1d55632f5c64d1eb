"""A bundle as firmware: the pilot that flies it, images and templates for microcontrollers. docs/firmware.md."""
