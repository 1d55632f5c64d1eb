/* What the test calls: commands, topics and steps of the module as plain numbers. Tests only. */
#include <drivers/drv_hrt.h>
#include <px4_platform_common/px4_work_queue/ScheduledWorkItem.hpp>
#include <uORB/topics/actuator_motors.h>
#include <uORB/topics/trajectory_setpoint.h>
#include <uORB/topics/vehicle_angular_velocity.h>
#include <uORB/topics/vehicle_attitude.h>
#include <uORB/topics/vehicle_control_mode.h>
#include <uORB/topics/vehicle_local_position.h>

orb_metadata orb_stand_in_actuator_motors{};
orb_metadata orb_stand_in_trajectory_setpoint{};
orb_metadata orb_stand_in_vehicle_angular_velocity{};
orb_metadata orb_stand_in_vehicle_attitude{};
orb_metadata orb_stand_in_vehicle_control_mode{};
orb_metadata orb_stand_in_vehicle_local_position{};
px4::ScheduledWorkItem *px4::ScheduledWorkItem::scheduled = nullptr;
uint32_t px4::ScheduledWorkItem::interval_us = 0;

static hrt_abstime now_us;

template <class T> static void put(orb_metadata *topic, const T &message) {
    memcpy(topic->newest, &message, sizeof message);
    topic->published++;
}

extern "C" {

hrt_abstime hrt_absolute_time(void) {
    return now_us;
}

int robo_rl_policy_main(int argc, char *argv[]);

int shim_command(const char *word) {
    char name[] = "robo_rl_policy";
    char text[16] = {};
    strncpy(text, word, sizeof text - 1);
    char *argv[] = {name, text, nullptr};
    return robo_rl_policy_main(2, argv);
}

/* The interval in us at which the module is scheduled; 0 when it is not. */
uint32_t shim_interval(void) {
    return px4::ScheduledWorkItem::scheduled != nullptr ? px4::ScheduledWorkItem::interval_us : 0u;
}

void shim_forget(void) {
    orb_stand_in_trajectory_setpoint.published = 0;
}

void shim_mode(int armed, int position) {
    vehicle_control_mode_s mode{};
    mode.flag_armed = armed != 0;
    mode.flag_control_position_enabled = position != 0;
    put(&orb_stand_in_vehicle_control_mode, mode);
}

/* `values`, in PX4's frames: position 3, velocity 3, quaternion 4, rates 3. Bits of `valid`: xy, z, v_xy, v_z. */
void shim_vehicle(const float values[13], unsigned valid, uint64_t stamp) {
    vehicle_local_position_s position{};
    vehicle_attitude_s attitude{};
    vehicle_angular_velocity_s rates{};
    position.timestamp = attitude.timestamp = rates.timestamp = stamp;
    position.x = values[0];
    position.y = values[1];
    position.z = values[2];
    position.vx = values[3];
    position.vy = values[4];
    position.vz = values[5];
    position.xy_valid = (valid & 1u) != 0u;
    position.z_valid = (valid & 2u) != 0u;
    position.v_xy_valid = (valid & 4u) != 0u;
    position.v_z_valid = (valid & 8u) != 0u;
    memcpy(attitude.q, values + 6, sizeof attitude.q);
    memcpy(rates.xyz, values + 10, sizeof rates.xyz);
    put(&orb_stand_in_vehicle_local_position, position);
    put(&orb_stand_in_vehicle_attitude, attitude);
    put(&orb_stand_in_vehicle_angular_velocity, rates);
}

/* `values`, north east down: position 3, velocity 3. */
void shim_setpoint(const float values[6], uint64_t stamp) {
    trajectory_setpoint_s setpoint{};
    setpoint.timestamp = stamp;
    memcpy(setpoint.position, values, sizeof setpoint.position);
    memcpy(setpoint.velocity, values + 3, sizeof setpoint.velocity);
    put(&orb_stand_in_trajectory_setpoint, setpoint);
}

/* Run the module once at `us`, and copy the newest motors; returns how often it published them. */
int shim_run(uint64_t us, float control[12]) {
    const unsigned before = orb_stand_in_actuator_motors.published;
    now_us = us;
    px4::ScheduledWorkItem::run();
    actuator_motors_s motors{};
    memcpy(&motors, orb_stand_in_actuator_motors.newest, sizeof motors);
    memcpy(control, motors.control, sizeof motors.control);
    return (int)(orb_stand_in_actuator_motors.published - before);
}
}
