/* Converts the policy's motor commands to shares of a motor's largest force, for autopilots that command forces. */
#ifndef MOTORS_H
#define MOTORS_H

#include "policy.h"

/* The share of the largest force, 0 to 1, of each motor: the polynomial of thrust.h. Motors are in the order of the
 * simulator (sim/robots/rotors.py): front right, back right, back left, front left; the first turns
 * counter-clockwise seen from above. */
void motors_forces(const policy_commands *commands, float forces[4]);

#endif
