/* See semihosting.h. */
#include "semihosting.h"

#include <string.h>

#define SYS_OPEN 0x01u
#define SYS_WRITE 0x05u
#define SYS_READ 0x06u
#define SYS_TIME 0x11u
#define SYS_GET_CMDLINE 0x15u
#define SYS_EXIT_EXTENDED 0x20u
#define APPLICATION_EXIT 0x20026u

static uint32_t call(uint32_t operation, const void *arguments) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t address(const void *pointer) {
    return (uint32_t)(uintptr_t)pointer;
}

int semihosting_command_line(char *text, size_t room) {
    uint32_t block[2] = {address(text), (uint32_t)room};
    return call(SYS_GET_CMDLINE, block) == 0u ? (int)block[1] : -1;
}

int semihosting_open(const char *name, uint32_t mode) {
    const uint32_t block[3] = {address(name), mode, (uint32_t)strlen(name)};
    return (int)call(SYS_OPEN, block);
}

size_t semihosting_read(int handle, void *bytes, size_t count) {
    const uint32_t block[3] = {(uint32_t)handle, address(bytes), (uint32_t)count};
    return call(SYS_READ, block);
}

size_t semihosting_write(int handle, const void *bytes, size_t count) {
    const uint32_t block[3] = {(uint32_t)handle, address(bytes), (uint32_t)count};
    return call(SYS_WRITE, block);
}

uint32_t semihosting_time(void) {
    return call(SYS_TIME, NULL);
}

void semihosting_exit(uint32_t code) {
    const uint32_t block[2] = {APPLICATION_EXIT, code};
    for (;;) {
        (void)call(SYS_EXIT_EXTENDED, block);
    }
}
