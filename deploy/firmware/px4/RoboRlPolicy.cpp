/* See RoboRlPolicy.hpp. */
#include "RoboRlPolicy.hpp"

#include <px4_platform_common/log.h>
#include <px4_platform_common/px4_work_queue/WorkQueueManager.hpp>

extern "C" {
#include "frames.h"
#include "guard.h"
#include "motors.h"
#include "pilot_config.h"
}

#ifndef POLICY_SCRATCH_BYTES
#error "this C is of an older robo-rl: generate it again with robo-rl codegen, or build from the bundle"
#endif

static constexpr hrt_abstime OLDEST_US = 100000; /* older estimates are not used */

/* Bytes of stack. A policy's intermediate values (POLICY_SCRATCH_BYTES) are on the stack of `wq:rate_ctrl`, and at the
 * start on that of the command, together with two states of the self-test. A stack that is too small must fail the
 * build, not overwrite memory in flight. */
static constexpr unsigned STEP_FRAMES = 400; /* the functions of a step, without intermediate values */
static constexpr unsigned RUN_FRAMES = 1500; /* the work queue, Run() with its topics, and a saved register context */
static constexpr unsigned MAIN_FRAMES = 768; /* the command, the module base, and a saved register context */
static_assert(ROBO_RL_STACK_MAIN >= MAIN_FRAMES + STEP_FRAMES + POLICY_SCRATCH_BYTES + 2 * sizeof(policy_state),
	      "raise ROBO_RL_STACK_MAIN in CMakeLists.txt: the policy's self-test needs more stack");
static_assert(px4::wq_configurations::rate_ctrl.stacksize >= RUN_FRAMES + STEP_FRAMES + POLICY_SCRATCH_BYTES,
	      "the stack of PX4's wq:rate_ctrl is too small for this policy: raise it in WorkQueueManager.hpp");

RoboRlPolicy::RoboRlPolicy() : ScheduledWorkItem(MODULE_NAME, px4::wq_configurations::rate_ctrl) {}

bool RoboRlPolicy::init()
{
	if (policy_selftest() != 0u) {
		PX4_ERR("the policy's self-test failed: it will not fly");
		return false;
	}

	policy_reset(&_memory);
	_commands = policy_safe;
	ScheduleOnInterval(POLICY_PERIOD_US / POLICY_SUBSTEPS);
	return true;
}

/* The newest estimates in the policy's frames; false when one is missing, too old or not valid. */
bool RoboRlPolicy::read(pilot_vehicle &vehicle)
{
	vehicle_local_position_s position;
	vehicle_attitude_s attitude;
	vehicle_angular_velocity_s rates;

	if (!_position_sub.copy(&position) || !_attitude_sub.copy(&attitude) || !_rates_sub.copy(&rates)) {
		return false;
	}

	const hrt_abstime now = hrt_absolute_time();
	const bool fresh = now - position.timestamp < OLDEST_US && now - attitude.timestamp < OLDEST_US
			   && now - rates.timestamp < OLDEST_US;
	const float place[3] = {position.x, position.y, position.z};
	const float speed[3] = {position.vx, position.vy, position.vz};
	frames_vector(place, vehicle.position);
	frames_vector(speed, vehicle.linear_velocity);
	frames_quaternion(attitude.q, vehicle.orientation);
	frames_vector(rates.xyz, vehicle.angular_velocity);
	return fresh && position.xy_valid && position.z_valid && position.v_xy_valid && position.v_z_valid
	       && guard_valid(&vehicle);
}

/* The target as the policy's setpoint; false while there is none. */
bool RoboRlPolicy::follow(const pilot_vehicle &vehicle, pilot_setpoint &setpoint)
{
	trajectory_setpoint_s wanted;

	if (!_setpoint_sub.copy(&wanted)) {
		return false;
	}

	target_wanted asked;

	for (int i = 0; i < 3; i++) {
		asked.position[i] = wanted.position[i];
		asked.velocity[i] = wanted.velocity[i];
	}

	asked.time_us = wanted.timestamp;
	return target_follow(&_target, &asked, &vehicle, hrt_absolute_time(), &setpoint);
}

void RoboRlPolicy::publish()
{
	float forces[4];
	actuator_motors_s motors{};
	motors_forces(&_commands, forces);
	frames_motors(forces, motors.control);

	for (int i = 4; i < actuator_motors_s::NUM_CONTROLS; i++) {
		motors.control[i] = NAN;
	}

	motors.timestamp = hrt_absolute_time();
	motors.timestamp_sample = motors.timestamp;
	_motors_pub.publish(motors);
}

void RoboRlPolicy::begin()
{
	policy_reset(&_memory);
	_commands = policy_safe;
	target_take_over(&_target, hrt_absolute_time());
	_flying = true;
}

/* Without a last, safe command the forces before it would stay in force. */
void RoboRlPolicy::stop()
{
	_flying = false;
	_commands = policy_safe;
	publish();
}

void RoboRlPolicy::Run()
{
	vehicle_control_mode_s mode{};
	const bool leaves = should_exit();
	const bool flies = !leaves && _mode_sub.copy(&mode) && mode.flag_armed && mode.flag_control_position_enabled;

	if (_flying && !flies) {
		stop();
	}

	if (leaves) {
		ScheduleClear();
#if ROBO_RL_DESCRIPTOR
		exit_and_cleanup(desc);
#else
		exit_and_cleanup();
#endif
		return;
	}

	if (!flies) {
		return; /* another controller is active, or none */
	}

	if (!_flying) {
		begin();
	}

	pilot_vehicle vehicle{};
	pilot_setpoint setpoint{};
	policy_commands wanted;
	bool good = read(vehicle) && follow(vehicle, setpoint);

	if (good) {
		policy_sensors sensors;
		pilot_sensors(&vehicle, &setpoint, &sensors);
		good = policy_step(&_memory, &sensors, &wanted) == POLICY_OK;
	}

	if (good) {
		(void)guard_limit(&_commands, &wanted);

	} else {
		_commands = policy_safe;
	}

	publish();
}

void RoboRlPolicy::remember(RoboRlPolicy *instance)
{
	const int task = instance != nullptr ? task_id_is_work_queue : -1;
#if ROBO_RL_DESCRIPTOR
	desc.object.store(instance);
	desc.task_id = task;
#else
	_object.store(instance);
	_task_id = task;
#endif
}

int RoboRlPolicy::task_spawn(int argc, char *argv[])
{
	RoboRlPolicy *instance = new RoboRlPolicy();

	if (instance == nullptr) {
		return PX4_ERROR;
	}

	remember(instance);

	if (instance->init()) {
		return PX4_OK;
	}

	remember(nullptr);
	delete instance;
	return PX4_ERROR;
}

int RoboRlPolicy::custom_command(int argc, char *argv[])
{
	return print_usage("unknown command");
}

int RoboRlPolicy::print_usage(const char *reason)
{
	if (reason != nullptr) {
		PX4_WARN("%s", reason);
	}

	PRINT_MODULE_USAGE_NAME("robo_rl_policy", "controller");
	PRINT_MODULE_USAGE_COMMAND("start");
	PRINT_MODULE_USAGE_DEFAULT_COMMANDS();
	return 0;
}

#if ROBO_RL_DESCRIPTOR
ModuleBase::Descriptor RoboRlPolicy::desc{task_spawn, custom_command, print_usage};
#endif

extern "C" __EXPORT int robo_rl_policy_main(int argc, char *argv[])
{
#if ROBO_RL_DESCRIPTOR
	return ModuleBase::main(RoboRlPolicy::desc, argc, argv);
#else
	return RoboRlPolicy::main(argc, argv);
#endif
}
