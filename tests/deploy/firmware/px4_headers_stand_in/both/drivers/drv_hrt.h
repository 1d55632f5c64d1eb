/* A stand-in for a header of PX4. Tests only. */
#pragma once
#include <stdint.h>

typedef uint64_t hrt_abstime; /* us since the start */
extern "C" hrt_abstime hrt_absolute_time(void);
