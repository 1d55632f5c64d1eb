/* See RoboRlPolicy.hpp. */
#include "RoboRlPolicy.hpp"

#include <px4_platform_common/log.h>

extern "C" {
#include "frames.h"
#include "guard.h"
#include "motors.h"
#include "pilot_config.h"
}

static constexpr hrt_abstime OLDEST_US = 100000; /* older estimates are not used */

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

/* The newest estimates and the setpoint in the policy's frames; false when one is missing, too old or not finite. */
bool RoboRlPolicy::read(pilot_vehicle &vehicle, pilot_setpoint &setpoint)
{
	vehicle_local_position_s position;
	vehicle_attitude_s attitude;
	vehicle_angular_velocity_s rates;
	trajectory_setpoint_s wanted;

	if (!_position_sub.copy(&position) || !_attitude_sub.copy(&attitude) || !_rates_sub.copy(&rates)
	    || !_setpoint_sub.copy(&wanted)) {
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
	frames_vector(wanted.position, setpoint.position);

	for (int i = 0; i < 3; i++) {
		/* NaN means "not set": a velocity is then zero; a setpoint without a position is refused. */
		const float v = wanted.velocity[i];
		setpoint.velocity[i] = PX4_ISFINITE(v) ? (i == 0 ? v : -v) : 0.f;
	}

	return fresh && position.xy_valid && position.z_valid && guard_finite(setpoint.position, 3u);
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

void RoboRlPolicy::Run()
{
	if (should_exit()) {
		ScheduleClear();
		exit_and_cleanup();
		return;
	}

	vehicle_control_mode_s mode{};
	_mode_sub.copy(&mode);
	pilot_vehicle vehicle{};
	pilot_setpoint setpoint{};

	if (!mode.flag_armed || !mode.flag_control_position_enabled) {
		_flying = false;
		return; /* another controller is active, or none */
	}

	if (!_flying) {
		policy_reset(&_memory);
		_commands = policy_safe;
		_flying = true;
	}

	policy_commands wanted;
	policy_sensors sensors;
	bool good = read(vehicle, setpoint) && guard_valid(&vehicle);

	if (good) {
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

int RoboRlPolicy::task_spawn(int argc, char *argv[])
{
	RoboRlPolicy *instance = new RoboRlPolicy();

	if (instance == nullptr) {
		return PX4_ERROR;
	}

	_object.store(instance);
	_task_id = task_id_is_work_queue;

	if (instance->init()) {
		return PX4_OK;
	}

	delete instance;
	_object.store(nullptr);
	_task_id = -1;
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

extern "C" __EXPORT int robo_rl_policy_main(int argc, char *argv[])
{
	return RoboRlPolicy::main(argc, argv);
}
