/* A work item that flies to trajectory setpoints with a policy, scheduled once per step of the policy. */
#pragma once

#include <px4_platform_common/module.h>
#include <px4_platform_common/px4_work_queue/ScheduledWorkItem.hpp>
#include <uORB/Publication.hpp>
#include <uORB/Subscription.hpp>
#include <uORB/topics/actuator_motors.h>
#include <uORB/topics/trajectory_setpoint.h>
#include <uORB/topics/vehicle_angular_velocity.h>
#include <uORB/topics/vehicle_attitude.h>
#include <uORB/topics/vehicle_control_mode.h>
#include <uORB/topics/vehicle_local_position.h>

extern "C" {
#include "policy.h"
#include "vehicle.h"
}

class RoboRlPolicy : public ModuleBase<RoboRlPolicy>, public px4::ScheduledWorkItem
{
public:
	RoboRlPolicy();
	static int task_spawn(int argc, char *argv[]);
	static int custom_command(int argc, char *argv[]);
	static int print_usage(const char *reason = nullptr);
	bool init();

private:
	void Run() override;
	bool read(pilot_vehicle &vehicle, pilot_setpoint &setpoint);
	void publish();

	uORB::Subscription _position_sub{ORB_ID(vehicle_local_position)};
	uORB::Subscription _attitude_sub{ORB_ID(vehicle_attitude)};
	uORB::Subscription _rates_sub{ORB_ID(vehicle_angular_velocity)};
	uORB::Subscription _setpoint_sub{ORB_ID(trajectory_setpoint)};
	uORB::Subscription _mode_sub{ORB_ID(vehicle_control_mode)};
	uORB::Publication<actuator_motors_s> _motors_pub{ORB_ID(actuator_motors)};

	policy_state _memory{};
	policy_commands _commands{};
	bool _flying{false};
};
