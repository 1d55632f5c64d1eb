/* Semihosting: how an emulated chip, or one under a debugger, reaches the files of the host (Arm IHI 0052). */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

#define SEMIHOSTING_READ 1u  /* as fopen's "rb" */
#define SEMIHOSTING_WRITE 5u /* as fopen's "wb" */

/* The program's command line from the host; returns its length, or -1 when it exceeds `room` - 1 bytes. */
int semihosting_command_line(char *text, size_t room);
/* A file handle, or -1. */
int semihosting_open(const char *name, uint32_t mode);
/* Read or write up to `count` bytes; returns how many were not transferred. */
size_t semihosting_read(int handle, void *bytes, size_t count);
size_t semihosting_write(int handle, const void *bytes, size_t count);
/* The host's time in seconds. */
uint32_t semihosting_time(void);
/* End the emulator with `code`. */
__attribute__((noreturn)) void semihosting_exit(uint32_t code);

#endif
