"""Matrix-vector products in C for microcontrollers, in several forms with equal results."""
