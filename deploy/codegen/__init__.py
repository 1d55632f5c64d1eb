"""A bundle as C99 for microcontrollers."""
