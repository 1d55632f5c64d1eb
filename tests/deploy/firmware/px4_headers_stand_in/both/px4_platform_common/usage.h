/* What both kinds of PX4's module.h offer besides the base. Tests only. */
#pragma once
#include <math.h>
#include <string.h>

#undef __EXPORT
#define __EXPORT __attribute__((visibility("default")))
#define PX4_OK 0
#define PX4_ERROR (-1)
#define PRINT_MODULE_USAGE_NAME(name, category) ((void)0)
#define PRINT_MODULE_USAGE_COMMAND(name) ((void)0)
#define PRINT_MODULE_USAGE_DEFAULT_COMMANDS() ((void)0)

namespace px4 {
template <class T> class atomic {
public:
    explicit atomic(T value) : _value(value) {}
    T load() const {
        return _value;
    }
    void store(T value) {
        _value = value;
    }

private:
    T _value;
};
} // namespace px4
