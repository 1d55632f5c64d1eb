/* Units and quaternions of the Crazyflie's firmware, converted to SI units and w, x, y, z. Includes none of its
 * headers, so that a host can test it. Units are those of its stabilizer_types.h: gyro in deg/s, position in m. */
#ifndef UNITS_H
#define UNITS_H

/* rad/s from deg/s, same axes: x forward, y left, z up. */
void units_angular_velocity(const float degrees[3], float radians[3]);

/* w, x, y, z from x, y, z, w; both from body to world. The firmware's Euler angles are not used: their pitch is
 * inverted. */
void units_quaternion(const float xyzw[4], float wxyz[4]);

#endif
