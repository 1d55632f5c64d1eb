"""Matrix-vector products in C for microcontrollers: kernels c, asm and int8, and a plain one for small matrices."""
