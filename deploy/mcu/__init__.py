"""C for a Cortex-M4F, run on QEMU's STM32F405 and measured: instructions, modelled cycles, stack, sizes."""
