/* State and setpoint of a vehicle: SI units, world z up, quaternions w, x, y, z from body to world. */
#ifndef VEHICLE_H
#define VEHICLE_H

typedef struct {
    float position[3];         /* m, world */
    float orientation[4];      /* w, x, y, z, body to world */
    float linear_velocity[3];  /* m/s, world */
    float angular_velocity[3]; /* rad/s, body */
} pilot_vehicle;

typedef struct {
    float position[3]; /* m, world */
    float velocity[3]; /* m/s, world */
} pilot_setpoint;

#endif
