/* See units.h. */
#include "exact.h"

#include "units.h"

#define RADIANS_PER_DEGREE 0.0174532925f

void units_angular_velocity(const float degrees[3], float radians[3]) {
    for (int i = 0; i < 3; i++) {
        radians[i] = degrees[i] * RADIANS_PER_DEGREE;
    }
}

void units_quaternion(const float xyzw[4], float wxyz[4]) {
    wxyz[0] = xyzw[3];
    wxyz[1] = xyzw[0];
    wxyz[2] = xyzw[1];
    wxyz[3] = xyzw[2];
}
