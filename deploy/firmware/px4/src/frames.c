/* See frames.h. */
#include "frames.h"

void frames_vector(const float px4[3], float ours[3]) {
    ours[0] = px4[0];
    ours[1] = -px4[1];
    ours[2] = -px4[2];
}

void frames_quaternion(const float px4[4], float ours[4]) {
    ours[0] = px4[0];
    ours[1] = px4[1];
    ours[2] = -px4[2];
    ours[3] = -px4[3];
}

void frames_motors(const float ours[4], float px4[4]) {
    px4[0] = ours[0];
    px4[1] = ours[2];
    px4[2] = ours[3];
    px4[3] = ours[1];
}
