"""Runs that learn from other runs: their own copies, several teachers, fine-tuning, and what is refused."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from policies.errors import UserError
from policies.graph.policy_graph import PolicyGraph
from policies.signals import Sensors, Truth
from policies.specs import SensorSpec
from policies.terms.actions import ScaledCommand
from policies.terms.observations import Reading
from policies.terms.stateful import ActionHistory
from robo_rl.algorithms import starting
from robo_rl.algorithms.distill.arms import ARMS
from robo_rl.algorithms.distill.config import DistillConfig
from robo_rl.algorithms.distill.imitation import Imitation
from robo_rl.algorithms.distill.teachers import Labels, TeacherByWorld, find_teacher
from robo_rl.algorithms.distill.trainer import make_trainer
from robo_rl.algorithms.ppo.config import PpoConfig
from robo_rl.algorithms.ppo.trainer import PpoTrainer
from robo_rl.algorithms.registry import AlgorithmConfig
from robo_rl.cli.main import main
from robo_rl.training import checkpoint, config, parallel, runner
from robo_rl.training.config import TrainConfig
from sim.controllers.teacher import LearnedTeacher, Teacher
from sim.task import Task
from sim.tasks import TASKS
from tests.robo_rl.equality import assert_equal
from tests.robo_rl.tiny_environment import PointEnvironment, point_task

PPO = PpoConfig(
    num_worlds=8, iterations=2, rollout_steps=4, epochs=1, minibatches=2, actor_hidden=(4,), critic_hidden=(4,)
)
STUDENT = DistillConfig(
    num_worlds=8, iterations=4, rollout_steps=4, epochs=1, minibatches=2, actor_hidden=(4,), critic_hidden=(4,),
    updates=3, batch=16, capacity=256,
)  # fmt: skip


def other(**changes: Any) -> Task:
    return dataclasses.replace(point_task(), name="other", **changes)


@pytest.fixture(autouse=True)
def tasks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(TASKS, "point", point_task())
    monkeypatch.setitem(TASKS, "other", other())
    monkeypatch.chdir(tmp_path)


def silent(iteration: int, total: int, metrics: Mapping[str, float]) -> None: ...


def trained(folder: str, task: str = "point", settings: AlgorithmConfig = PPO) -> str:
    runner.create(Path(folder), TrainConfig(task, settings, seed=1, checkpoint_every=2))
    runner.train(Path(folder), silent)
    return folder


def teacher(folder: str = "teacher", task: str = "point") -> str:
    return trained(folder, task, dataclasses.replace(PPO, reads="truth"))


def refused(capsys: pytest.CaptureFixture[str], words: str) -> str:
    """The one line that a command line is refused with; no run is left behind."""
    assert main([*words.split(), "--run-dir", "new"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert not Path("new").exists()
    return error


# ---- copies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", ["dagger", "rpd"])
def test_a_run_goes_on_when_its_teacher_is_gone(arm: str) -> None:
    settings = dataclasses.replace(STUDENT, arm=arm, teacher=(teacher(),))
    straight = trained("straight", settings=settings)

    def die(done: int, total: int, metrics: Mapping[str, float]) -> None:
        if done == 3:
            raise RuntimeError("killed")

    runner.create(Path("killed"), TrainConfig("point", settings, seed=1, checkpoint_every=2))
    with pytest.raises(RuntimeError, match="killed"):
        runner.train(Path("killed"), die)
    shutil.rmtree("teacher")
    runner.train(Path("killed"), silent)
    ours, theirs = (checkpoint.load(Path(run) / "checkpoint.pt")["algorithm"] for run in (straight, "killed"))
    assert_equal(ours, theirs)
    copied = checkpoint.load(Path("killed/sources/teacher-0/checkpoint.pt"))
    assert copied["algorithm"].keys() == {"graph", "iteration", "steps"}
    # The student's own run is read without any of them.
    shutil.rmtree("killed/sources")
    assert isinstance(runner.load_trained(Path("killed")).policy, PolicyGraph)


def test_a_copy_that_was_changed_or_is_gone_is_refused() -> None:
    run = trained("run", settings=dataclasses.replace(STUDENT, teacher=(teacher(),)))
    with Path(run, "sources/teacher-0/config.yaml").open("a") as file:
        file.write("\n")
    with pytest.raises(UserError, match=r"run/sources/teacher-0 was changed since this run was started; put it back"):
        runner.train(Path(run), silent)
    shutil.rmtree(Path(run, "sources"))
    with pytest.raises(UserError, match=r"run/sources/teacher-0, the run's copy of .*, is gone"):
        runner.train(Path(run), silent)


def test_opening_a_run_disturbs_neither_random_draws_nor_threads() -> None:
    run = teacher()
    configuration = config.load(Path(run, "config.yaml"))
    config.save(dataclasses.replace(configuration, threads=3), Path(run, "config.yaml"))
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    starting.open_run(Path(run))
    assert torch.equal(torch.randn(3), expected)
    assert torch.get_num_threads() == 1


def test_a_teacher_from_a_file_of_its_own_with_terms_of_its_own(tmp_path: Path) -> None:
    Path("my_task.py").write_text(
        "from dataclasses import dataclass\n"
        "from tests.robo_rl.tiny_environment import point_task\n"
        "from policies.terms.actions import ScaledCommand\n"
        "@dataclass(frozen=True)\n"
        "class Push(ScaledCommand):\n"
        "    pass\n"
        "TASK = point_task().changed(action=Push('push', 1, 1.0))\n"
    )
    words = "train my_task.py:TASK --num-worlds 8 --iterations 2 --rollout-steps 4 --minibatches 2"
    assert main([*words.split(), "--algorithm", "ppo", "--reads", "truth", "--run-dir", "teacher"]) == 0
    distil = [*words.split(), "--algorithm", "distill", "--updates", "2", "--teacher", "teacher"]
    assert main([*distil, "--run-dir", "student"]) == 0
    Path("my_task.py").unlink()
    shutil.rmtree("teacher")
    assert Path("student/sources/teacher-0/task.py").is_file()
    assert main(["train", "--resume", "--run-dir", "student"]) == 0


# ---- several teachers -----------------------------------------------------------------------------------------------


class Ground(PointEnvironment):
    """Worlds of two kinds of ground, in turn."""

    def terrain_places(self) -> tuple[list[str], torch.Tensor, torch.Tensor]:
        return ["flat", "steps"], torch.arange(self.num_worlds) % 2, torch.zeros(self.num_worlds, dtype=torch.int64)


def teacher_of(trainer: Imitation) -> Teacher:
    assert isinstance(trainer.labels, Labels)
    return trainer.labels.teacher


def places(trainer: Imitation) -> list[int]:
    found = teacher_of(trainer)
    assert isinstance(found, TeacherByWorld)
    return [int(place) for place in found._places]


def imitation(task: Task, *words: str) -> Imitation:
    return Imitation(dataclasses.replace(STUDENT, teacher=words), task, 1)


def test_each_kind_of_ground_has_its_teacher() -> None:
    one, two = teacher("one"), teacher("two")
    task = point_task(Ground)
    trainer = imitation(task, f"steps={one}", f"flat={two}")
    assert places(trainer) == [1, 0] * 4
    trainer.iterate()
    for words, message in (
        ((f"steps={one}",), "no teacher is for flat; name one for each kind: flat, steps"),
        ((f"steps={one}", f"flat={two}", f"gap={two}"), "there is no ground 'gap' in point; kinds: flat, steps"),
        ((one, two), "several teachers need a key each: --teacher flat=RUN1 stairs_up=RUN2"),
    ):
        with pytest.raises(UserError, match=message):
            imitation(task, *words)
    with pytest.raises(UserError, match="point has one kind of ground; name one teacher"):
        imitation(point_task(), f"steps={one}", f"flat={two}")


def test_each_task_has_its_teacher_and_its_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    class Far(PointEnvironment):
        def _restart(self, mask: torch.Tensor) -> None:
            super()._restart(mask)
            self._x = torch.where(mask[:, None], 1.5, self._x)

        def _truth(self) -> Truth:
            return Truth({**super()._truth(), "more": torch.ones(self.num_worlds, 1)})

    monkeypatch.setitem(TASKS, "other", dataclasses.replace(point_task(Far), name="other"))
    one, two = teacher("one"), teacher("two", "other")
    trainer = imitation(point_task(), f"other={two}", f"point={one}")
    assert places(trainer) == [1] * 4 + [0] * 4
    assert (trainer._worlds.truth["position"][4:] == 1.5).all()
    assert "more" not in trainer._worlds.truth
    trainer.iterate()
    with pytest.raises(UserError, match="the teachers are for other; one must be for point, which the student learns"):
        imitation(point_task(), f"other={two}")
    settings = dataclasses.replace(STUDENT, arm="rpd", teacher=(f"other={two}", f"point={one}"))
    with pytest.raises(UserError, match="arm rpd trains in one task"):
        make_trainer(settings, point_task(), 1)
    slower = dataclasses.replace(TASKS["other"], period=0.2)
    monkeypatch.setitem(TASKS, "other", slower)
    with pytest.raises(UserError, match="other has another action or period than point; one student can't act in both"):
        imitation(point_task(), f"other={two}", f"point={one}")


# ---- what is refused ------------------------------------------------------------------------------------------------


REFUSED = {
    "--arm magic": f"arm must be one of {', '.join(ARMS)}, got 'magic'",
    "--arm hib": "arm hib trains --actor history, not mlp; choose one of them",
    "--arm dagger --reads truth": "arm dagger trains what reads sensors only; leave --reads out, and train what reads "
    "the truth with --arm teacher",
    "--arm blind --teacher teacher": "arm blind has no teacher; leave --teacher out, or use --arm bc or dagger or rpd",
    "--arm dagger": "point has neither a teacher nor a guide to imitate; name a run with --teacher",
    "--arm rpd": "point has neither a teacher nor a guide to imitate; name a run with --teacher",
    "--teacher nowhere": "can't read nowhere/config.yaml (No such file or directory); name the folder of a run",
    "--teacher untrained": "there is no checkpoint untrained/checkpoint.pt; train first",
    "--arm hib --actor history --privileged-terms mass": "point has no privileged term 'mass'; terms: position",
    "--arm dropper --drop-until 0": "drop_until must be above 0.0 and at most 1.0, got 0.0",
    "--temperature 0": "temperature must be above 0.0, got 0.0",
    "--start-from nowhere": "can't read nowhere/config.yaml",
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_mistake_is_one_line_and_leaves_no_run(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    runner.create(Path("untrained"), TrainConfig("point", PPO))
    assert REFUSED[words] in refused(capsys, f"train point --algorithm distill --num-worlds 8 --minibatches 2 {words}")


def test_only_arms_that_are_ppo_are_shared_by_processes() -> None:
    class Two(parallel.Processes):
        def __init__(self) -> None:
            super().__init__(0, 2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "current", Two)
        for arm in ("bc", "dagger"):
            with pytest.raises(UserError, match=f"arm {arm} learns in one process; leave --processes out"):
                Imitation(dataclasses.replace(STUDENT, arm=arm), point_task(), 1)


class Blinded(PointEnvironment):
    def _truth(self) -> Truth:
        return Truth({"place": self._x.clone()})


UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "action": ({"action": ScaledCommand("push", 1, 0.5)}, "whose actions have another scale or meaning"),
    "period": ({"period": 0.05}, "whose period is 0.05 s instead of 0.1 s"),
    "frame": (
        {"sensors": (SensorSpec("position", 1, "m", "body", -10.0, 10.0),)},
        "whose sensor position is another (width, unit, frame or channels)",
    ),
    "sensor": (
        {
            "sensors": (*point_task().sensors, SensorSpec("speed", 1, "m/s", "world", -1.0, 1.0)),
            "observation": {"speed": Reading("speed", 1)},
        },
        "and reads the sensor speed, which is not here",
    ),
}  # fmt: skip


class Fast(PointEnvironment):
    def _sensors(self) -> Sensors:
        return Sensors({**super()._sensors(), "speed": torch.zeros(self.num_worlds, 1)})


@pytest.mark.parametrize("name", UNFIT)
def test_a_teacher_that_does_not_fit_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, message = UNFIT[name]
    monkeypatch.setitem(TASKS, "other", dataclasses.replace(point_task(Fast), name="other", **changes))
    run = teacher(task="other")
    with pytest.raises(UserError) as caught:
        imitation(point_task(), run)
    assert str(caught.value) == f"teacher can't teach in point: it was trained in other, {message}"


def test_a_teacher_of_another_truth_is_refused_and_of_another_task_with_this_truth_is_not() -> None:
    run = teacher(task="other")
    imitation(point_task(), run).iterate()
    with pytest.raises(UserError, match=r"can't teach in point: .* whose truth is another \(.*position"):
        imitation(point_task(Blinded), run)


def test_a_policy_of_sensors_can_teach_too() -> None:
    task = point_task()
    trainer = imitation(task, trained("run"))
    found = teacher_of(trainer)
    assert isinstance(found, LearnedTeacher)
    made = runner.load_trained(Path("run")).graph
    sensors, truth = task.make_environment(5, 3).reset()
    label, _ = found.label(sensors, truth, found.initial_state(5))
    assert torch.equal(label, made.act(made.observe(sensors, made.initial_state(5))))
    assert not any(p.requires_grad for p in found.parameters())
    assert find_teacher(("run",), task, trainer._blocks, (sensors, truth)).action == task.action


# ---- fine-tuning ----------------------------------------------------------------------------------------------------


def test_fine_tuning_starts_from_the_student_and_warms_up_the_critic() -> None:
    run = trained("student", settings=dataclasses.replace(STUDENT, arm="bc", actor="gru", teacher=(teacher(),)))
    made = {name: value.clone() for name, value in runner.load_trained(Path(run)).graph.state_dict().items()}
    settings = dataclasses.replace(
        PPO, actor="gru", start_from=run, critic_warmup=2, iterations=3, initial_std=0.1, target_kl=0.0
    )
    tuned = PpoTrainer(settings, point_task(), 1)
    critic = {name: value.clone() for name, value in tuned.critic.state_dict().items()}
    for _ in range(2):
        metrics = tuned.iterate()
        assert metrics["policy_loss"] == 0.0
        assert metrics["std"] == pytest.approx(0.1)
        assert_equal(dict(tuned.graph.state_dict()), made)
    assert not torch.equal(tuned.critic.state_dict()["network.layers.0.weight"], critic["network.layers.0.weight"])
    tuned.iterate()
    assert all(not torch.equal(value, made[name]) for name, value in tuned.graph.state_dict().items())


def test_a_fine_tuned_run_goes_on_when_the_student_is_gone() -> None:
    run = trained("student")
    learned = []
    for name in ("beside", "alone"):
        runner.create(Path(name), TrainConfig("point", dataclasses.replace(PPO, start_from=run), seed=3))
    for name in ("beside", "alone"):
        runner.train(Path(name), silent)
        learned.append(dict(runner.load_trained(Path(name)).graph.state_dict()))
        shutil.rmtree(run, ignore_errors=True)
    assert_equal(learned[0], learned[1])


UNLIKE: dict[str, tuple[dict[str, Any], str]] = {
    "sensors": (
        {
            "sensors": (SensorSpec("place", 1, "m", "world", -10.0, 10.0),),
            "observation": {"place": Reading("place", 1)},
        },
        "its policy reads the sensors position; this task's place",
    ),
    "frame": (
        {"sensors": (SensorSpec("position", 1, "m", "body", -10.0, 10.0),)},
        "its sensor position has another width, unit, frame or order of channels than this task's",
    ),
    "order": (
        {"observation": {"action_history": ActionHistory(2, 1), "position": Reading("position", 1)}},
        "its policy observes Reading, ActionHistory; this task's ActionHistory, Reading",
    ),
    "scale": (
        {"observation": {"position": Reading("position", 1, 2.0), "action_history": ActionHistory(2, 1)}},
        "its observation terms have other settings than this task's",
    ),
    "period": ({"period": 0.2}, "its policy acts every 0.1 s, this task's every 0.2 s"),
    "action": ({"action": ScaledCommand("push", 1, 0.5)}, "its actions have another scale or meaning than this task's"),
}  # fmt: skip


class Place(PointEnvironment):
    def _sensors(self) -> Sensors:
        position = super()._sensors()["position"]
        return Sensors({"position": position, "place": position})


@pytest.mark.parametrize("name", UNLIKE)
def test_a_student_is_not_tuned_for_what_it_was_not_made_for(name: str) -> None:
    changes, message = UNLIKE[name]
    run = trained("student")
    task = dataclasses.replace(point_task(Place), **changes)
    for settings in (dataclasses.replace(PPO, start_from=run), dataclasses.replace(PPO, start_from=run, actor="gru")):
        with pytest.raises(UserError) as caught:
            PpoTrainer(settings, task, 1)
        assert str(caught.value) == f"can't start from student: {message}"


def test_a_student_keeps_its_network_its_normaliser_and_to_its_sensors(monkeypatch: pytest.MonkeyPatch) -> None:
    run = trained("student")
    with pytest.raises(UserError, match="its network has another form; give --actor, --actor-hidden and so on as in"):
        PpoTrainer(dataclasses.replace(PPO, start_from=run, actor_hidden=(5,)), point_task(), 1)
    with pytest.raises(UserError, match="its policy reads the truth, this one sensors only"):
        PpoTrainer(dataclasses.replace(PPO, start_from=teacher()), point_task(), 1)
    bare = dataclasses.replace(runner.load_trained(Path(run)))
    bare.graph.normalizer = torch.nn.Identity()
    monkeypatch.setattr(starting, "open_run", lambda path: bare)
    with pytest.raises(UserError, match="its normaliser is Identity, this training's is RunningNormalizer"):
        PpoTrainer(dataclasses.replace(PPO, start_from=run), point_task(), 1)
