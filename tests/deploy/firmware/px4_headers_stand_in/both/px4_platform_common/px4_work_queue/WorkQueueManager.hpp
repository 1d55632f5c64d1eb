/* A stand-in for a header of PX4. Tests only.
 * Source: the same file of main, read 2026-11-28: rate_ctrl has 3150 bytes. */
#pragma once
#include <stdint.h>

#ifndef RATE_CTRL_BYTES
#define RATE_CTRL_BYTES 3150
#endif

namespace px4 {
struct wq_config_t {
    const char *name;
    uint16_t stacksize;
    int8_t relative_priority;
};
namespace wq_configurations {
static constexpr wq_config_t rate_ctrl{"wq:rate_ctrl", RATE_CTRL_BYTES, 0};
}
} // namespace px4
