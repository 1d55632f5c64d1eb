/* A work item that flies to trajectory setpoints with a policy, scheduled once per step of the policy. */
#pragma once

#include <drivers/drv_hrt.h>
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
#include "target.h"
#include "vehicle.h"
}

class RoboRlPolicy;

/* PX4's module base is a template over the module until early 2026. Since March 2026 (its pull request 26476, which
 * brought module_base.h) it is a plain class, and each module has a descriptor. */
#if __has_include(<px4_platform_common/module_base.h>)
#define ROBO_RL_DESCRIPTOR 1
using RoboRlModule = ModuleBase;
#else
#define ROBO_RL_DESCRIPTOR 0
using RoboRlModule = ModuleBase<RoboRlPolicy>;
#endif

class RoboRlPolicy : public RoboRlModule, public px4::ScheduledWorkItem
{
public:
#if ROBO_RL_DESCRIPTOR
	static ModuleBase::Descriptor desc;
#endif

	RoboRlPolicy();
	static int task_spawn(int argc, char *argv[]);
	static int custom_command(int argc, char *argv[]);
	static int print_usage(const char *reason = nullptr);
	bool init();

private:
	void Run() override;
	void begin();
	void stop();
	bool read(pilot_vehicle &vehicle);
	bool follow(const pilot_vehicle &vehicle, pilot_setpoint &setpoint);
	void publish();
	static void remember(RoboRlPolicy *instance);

	uORB::Subscription _position_sub{ORB_ID(vehicle_local_position)};
	uORB::Subscription _attitude_sub{ORB_ID(vehicle_attitude)};
	uORB::Subscription _rates_sub{ORB_ID(vehicle_angular_velocity)};
	uORB::Subscription _setpoint_sub{ORB_ID(trajectory_setpoint)};
	uORB::Subscription _mode_sub{ORB_ID(vehicle_control_mode)};
	uORB::Publication<actuator_motors_s> _motors_pub{ORB_ID(actuator_motors)};

	policy_state _memory{};
	policy_commands _commands{};
	target_state _target{};
	bool _flying{false};
};
