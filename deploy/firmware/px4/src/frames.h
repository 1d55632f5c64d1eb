/* Conversion between PX4's frames and ours. PX4: world north, east, down; body forward, right, down. Ours: world north,
 * west, up; body forward, left, up. World and body frames both differ by half a turn about x. Includes none of PX4's
 * headers, so that a host can test it. */
#ifndef FRAMES_H
#define FRAMES_H

/* A vector of either world or either body frame: x, -y, -z. */
void frames_vector(const float px4[3], float ours[3]);

/* A quaternion w, x, y, z from body to world: w, x, -y, -z. */
void frames_quaternion(const float px4[4], float ours[4]);

/* PX4's motors of a quadrotor x (front right, back left, front left, back right) from ours (front right, back right,
 * back left, front left). */
void frames_motors(const float ours[4], float px4[4]);

#endif
