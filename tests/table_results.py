"""Small results of every benchmark, for the tables that are made of them."""

from __future__ import annotations

from typing import Any

from robo_rl.bench import legged_tables

ORIGIN = {
    "machine": {"processor": "Some CPU", "cores": 2, "memory_gb": 16.0, "system": "Linux", "gpus": []},
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
    "command": "robo-rl bench",
    "git_commit": "0123456789abcdef",
}
RESULTS: dict[str, dict[str, Any]] = {
    "hover": {
        "seeds": [
            {"seed": 7, "train_seconds": 12.0, "survival": 0.95, "success_at_0.1": 0.91, "share_of_savable": 0.97},
            {"seed": 8, "train_seconds": 30.0, "survival": 0.93, "success_at_0.1": 0.885, "share_of_savable": 0.944},
            {"seed": 9, "train_seconds": 14.0, "survival": 0.97, "success_at_0.1": 0.92, "share_of_savable": 0.981},
        ],
        "savable_share": 0.9375,
        "median_train_seconds": 14.0,
        "worst_train_seconds": 30.0,
        "import_seconds": 2.34,
        "kernel_compile_seconds": 11.5,
    },
    "track": {
        "rows": [
            {"controller": "learned", "robot": "crazyflie", "period": 5.5, "rmse": 0.0512, "survival": 1.0},
            {"controller": "PID", "robot": "crazyflie", "period": 5.5, "rmse": 0.0431, "survival": 0.5},
            {"controller": "PID, fed forward", "robot": "crazyflie", "period": 5.5, "rmse": 0.06, "survival": 1.0},
            {"controller": "learned", "robot": "crazyflie-2025", "period": 3.5, "rmse": 0.07, "survival": 1.0},
            {"controller": "PID", "robot": "crazyflie-2025", "period": 3.5, "rmse": None, "survival": 0.0},
            {"controller": "PID, fed forward", "robot": "crazyflie-2025", "period": 3.5, "rmse": 0.06, "survival": 1.0},
        ]
    },
    "any": {
        "pilots": [
            {
                "pilot": name, "survival": 0.961, "success_at_0.1": 0.9, "distance_p50_m": distance,
                "figure_survival": 0.95, "figure_rmse_m": 0.07,
            }
            for name, distance in (("student", 0.0212), ("teacher of all", None))
        ],
        "vehicles": [
            {
                "mass_kg": 1.25, "thrust_to_weight": 2.5, "torque_to_inertia": 320.0, "student_survival": 0.93,
                "own_teacher_survival": 0.96,
                "teacher_survival": 0.95,
            }
        ],
        "mcu": [{"kernel": "c", "instructions": 8123}, {"kernel": "asm", "instructions": 6001}],
        "kept_share": 0.96875,
        "parameters": 1988,
        "teacher_seconds": 100.0,
        "student_seconds": 200.0,
        "seconds": 660.0,
    },
    "rotor": {
        "rk4_steps_per_second_1core": 9.04e6,
        "rk4_steps_with_adjoint_per_second_1core": 3.46e6,
        "env_steps_per_second": 2.61e6,
        "env_steps_with_policy_per_second": 1.75e6,
        "worlds": 4096,
        "cores": 2,
    },
    "gpu": {
        "card": "Some GPU",
        "parity": {
            "one_step": 6e-7, "all_steps": 8e-3, "state_gradient": 3e-6, "command_gradient": 4e-7, "worlds": 4096,
            "steps": 100,
        },
        "physics": [{"device": "cpu", "worlds": 64, "steps_per_second": 7.2e6, "with_adjoint_per_second": 1.2e6}],
        "environments": [
            {"device": "cuda", "worlds": 65536, "steps_per_second": 4.08e7, "with_policy_per_second": 3e7},
        ],
        "ppo": [{"device": "cuda", "worlds": 65536, "samples_per_second": 7.4e6}],
        "hover": [
            {"seed": 3, "train_seconds": 37.4, "success_at_0.1": 0.988},
            {"seed": 4, "train_seconds": 36.0, "success_at_0.1": 0.97},
        ],
        "hover_cpu": {"seed": 3, "train_seconds": 27.7, "success_at_0.1": 0.979},
    },
    "env": {
        "worlds": {
            "4096": {
                "env_steps_per_second": 21000.4, "bare_steps_per_second": 23000.0, "share_of_bare": 0.913,
                "rss_mb": 1523.7,
            },
            "1024": {
                "env_steps_per_second": 20000.0, "bare_steps_per_second": 22000.0, "share_of_bare": 0.909,
                "rss_mb": 611.2,
            },
        }
    },
    "walk": {
        "median_seconds_to_0.20": None, "median_final_velocity_error": 0.15,
        "seeds": [
            {
                "seed": 0, "seconds_to_0.20": 212.4, "train_seconds": 600.0, "final_velocity_error": 0.1412,
                "final_yaw_error": 0.2, "final_fall_rate": 0.004, "seconds_to_both": 300.0,
                "final_yaw_error_stride_mean": 0.08, "yaw_swing": 0.3, "standing_yaw_error": 0.58,
                "base_height": 0.2712, "cost_of_transport": 0.85, "foot_clearance": 0.052, "yaw_gain": 0.95,
                "sideways_yaw_drift": 0.04, "damped_speed_share": None,
            },
            {
                "seed": 1, "seconds_to_0.20": None, "train_seconds": 610.0, "final_velocity_error": 0.3,
                "final_yaw_error": 0.4, "final_fall_rate": 0.25, "seconds_to_both": None,
                "final_yaw_error_stride_mean": 0.2, "yaw_swing": 0.5, "standing_yaw_error": 0.58,
                "base_height": 0.23, "cost_of_transport": 1.1, "foot_clearance": 0.03, "yaw_gain": 0.6,
                "sideways_yaw_drift": 0.2, "damped_speed_share": 0.4,
            },
            {
                "seed": 2, "seconds_to_0.20": 180.0, "train_seconds": 590.0, "final_velocity_error": 0.15,
                "final_yaw_error": 0.1, "final_fall_rate": 0.0, "seconds_to_both": 200.0,
                "final_yaw_error_stride_mean": 0.05, "yaw_swing": 0.2, "standing_yaw_error": 0.58,
                "base_height": 0.28, "cost_of_transport": 0.8, "foot_clearance": 0.06, "yaw_gain": 1.0,
                "sideways_yaw_drift": 0.01, "damped_speed_share": 0.8,
            },
        ]
    },
    "own": {
        "bar": {"velocity_error": 0.25, "fall_rate": 0.05},
        "rows": [
            {
                "robot": "dog", "lacks": "gains", "seconds_to_bar": 61.2, "train_seconds": 290.0,
                "environment_steps": 6_389_760, "velocity_error": 0.1512, "yaw_rate_error": 0.31, "fall_rate": 0.004,
                "yaw_error_stride_mean": 0.12,
            },
            {"robot": "menagerie:dog", "not_run": "no network"},
        ],
    },
    "ppo": {
        "rows": [
            {
                "trainer": "robo-rl", "settings": "ours", "seed": 0, "samples_per_second": 15123.0,
                "seconds_to_return": 100.0, "final_return": 31.25, "threads": 1,
            },
            {
                "trainer": "rsl_rl, mirror images", "settings": "ours", "seed": 0, "samples_per_second": 12000.0,
                "seconds_to_return": 190.0, "final_return": 30.0, "threads": 2,
            },
            {
                "trainer": "rsl_rl", "settings": "ours, without mirror images", "seed": 0,
                "samples_per_second": 13000.0, "seconds_to_return": None, "final_return": 20.0, "threads": 2,
            },
        ],
        "return_level": 28.5,
    },
    "sim2sim": {
        "task": "go1-velocity-flat", "backend": "pybullet", "robots": 20, "seconds": 20.0,
        "mujoco": dict.fromkeys(legged_tables.SIM2SIM, 0.15),
        "pybullet": {**dict.fromkeys(legged_tables.SIM2SIM, 0.3), "duty_factor": None},
        "ratio": dict.fromkeys(legged_tables.SIM2SIM, 2.0),
        "bar": {
            "fall_rate": {"at_most": 0.05, "holds": True},
            "velocity_error_ratio": {"at_most": 1.5, "holds": False},
        },
    },
    "curricula": {
        "rows": [
            {"arm": arm, "task": task, "curricula": curricula, "seed": seed, "return": 20.0 + seed, "falls": 0.1,
             "velocity_error": 0.2, "success": success, "level": level, "samples": 3_000_000}
            for seed in (0, 1)
            for arm, task, curricula, success, level in (
                ("flat", "go1-velocity-flat", [], None, None),
                ("snapshots", "go1-velocity-rough", ["terrain_level", "snapshots"], 0.4, 2.5),
            )
        ],
    },
    "distill": {
        "rows": [
            {
                "arm": arm, "seed": 0, "range": one, "return": level, "falls": 0.1, "actor": "mlp",
                "probe_from": "observation", "probe_r2": {"wind": 0.5, "delay": None},
            }
            for arm, level in (("teacher", 60.0), ("blind", 30.0))
            for one in ("in", "1.5x")
        ],
        "alpha": [{"alpha": 0.001, "seed": 0, "range": one, "return": 40.0} for one in ("in", "1.5x")],
        "adastop": {"in": {"refused": "too few seeds"}},
    },
    "rough": {
        "teacher": {"train_seconds": 1800.0},
        "students": {
            "scan": {
                "train_seconds": 600.0,
                "terrain": [
                    {"kind": "stairs_up", "level": 2, "size": 0.075, "success": 0.9, "fall_rate": 0.1, "worlds": 10},
                    {"kind": "stairs_up", "level": 3, "size": 0.1, "success": 0.3, "fall_rate": 0.5, "worlds": 10},
                    {"kind": "slope_up", "level": 7, "size": 0.3, "success": 0.8, "fall_rate": 0.2, "worlds": 10},
                ],
                "bars": [
                    {"kind": "stairs_up", "size": 0.1, "success": 0.3, "at_least": 0.8},
                    {"kind": "gaps", "size": 0.1, "success": None, "at_least": 0.6},
                ],
            },
        },
    },
    "chip": {
        "starts": 20, "seconds": 60.0, "failures": [],
        "rows": [
            {
                "task": "crazyflie-hover", "pilot": "onnxruntime", "survived": 20, "succeeded": 19,
                "mean_error_m": 0.0312, "max_error_m": 0.0625,
            },
            {
                "task": "crazyflie-hover", "pilot": "emulated chip", "survived": 0, "succeeded": 0,
                "mean_error_m": None, "max_error_m": None, "command_difference": 7.5e-7, "left": [],
            },
        ],
    },
    "mcu": {
        "rows": [
            {
                "network": "64-64 tanh", "kernel": "c", "code": "robo-rl", "instructions": 51899,
                "instructions_per_mac": 3.789, "modelled_us_168mhz": 438.0, "modelled_us_168mhz_least": 354.0,
                "text_bytes": 58668, "code_bytes": 3356, "bss_bytes": 0, "stack_bytes": 668, "max_error": 3.8e-7,
                "x86_ns": 6765.0,
            },
        ],
        "peers": {"onnx2c": "not measured: no package gives it"}, "hover_bundle": "given",
        "compiler": "a compiler", "emulator": "an emulator", "modelled": "one cycle each",
    },
    "loop": {
        "rates": {
            "200": {
                "age_p50_ms": 1.5, "age_p99_ms": 6.0, "jitter_p99_ms": 0.4, "overruns": 2, "longest_overrun_ms": 1.25,
                "longest_machine_pause_ms": 1.0,
            },
            "100": {
                "age_p50_ms": 1.2, "age_p99_ms": 4.0, "jitter_p99_ms": 0.3, "overruns": 0, "longest_overrun_ms": 0.0,
                "longest_machine_pause_ms": 1.0,
            },
        }
    },
}  # fmt: skip
