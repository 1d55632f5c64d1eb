/* A stand-in for a header of FreeRTOS as crazyflie-firmware configures it. Tests only. */
#include <stdint.h>
#define M2T(X) ((uint32_t)(X))
