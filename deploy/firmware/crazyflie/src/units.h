/* Units and frames of the Crazyflie's firmware, as SI units and w, x, y, z. Free of its headers, so that a host can test
 * it. Units by the comments of its stabilizer_types.h: gyro in deg/s, acceleration in g, position in m. */
#ifndef UNITS_H
#define UNITS_H

/* rad/s from deg/s, same axes: x forward, y left, z up. */
void units_angular_velocity(const float degrees[3], float radians[3]);

/* m/s^2 from g. */
void units_specific_force(const float gravities[3], float metres[3]);

/* w, x, y, z from x, y, z, w; both turn body into world. The Euler angles of that firmware are not used: their pitch is
 * inverted. */
void units_quaternion(const float xyzw[4], float wxyz[4]);

#endif
