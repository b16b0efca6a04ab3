"""Which network of a generator and a critic is trained in which step."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

__all__ = ["UpdateKind", "UpdateSchedule"]

UpdateKind = Literal["pretraining", "critic", "generator"]


@dataclass(frozen=True)
class UpdateSchedule:
    """The order of updates, a function of the number of the step alone.

    First the generator without the critic; then the critic alone; then cycles of `critic_steps` updates of the critic
    and one of the generator. After every `extra_critic_every` steps of these cycles (of both kinds) come
    `extra_critic_steps` more of the critic, after which the cycle goes on where it was.

    Attributes:
        pretrain_steps: updates of the generator by the reconstruction loss.
        critic_only_steps: updates of the critic before the cycles.
        critic_steps: of a cycle, at least 1.
        extra_critic_every: 0: no extra rounds.
        extra_critic_steps: 0: no extra rounds.

    Raises:
        ValueError: if a number is negative or no whole one, or only one of the two for extra rounds is given.
    """

    pretrain_steps: int = 0
    critic_only_steps: int = 0
    critic_steps: int = 7
    extra_critic_every: int = 0
    extra_critic_steps: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), int(field.name == "critic_steps")
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{field.name} is {value!r}, expected a whole number of at least {least}")
        if (self.extra_critic_every == 0) != (self.extra_critic_steps == 0):
            raise ValueError(
                f"extra_critic_every is {self.extra_critic_every} and extra_critic_steps {self.extra_critic_steps}; "
                "give both for extra rounds of the critic, or neither"
            )

    def kind(self, step: int) -> UpdateKind:
        """What is updated in a step.

        Args:
            step: from 0.
        """
        if step < self.pretrain_steps:
            return "pretraining"
        step -= self.pretrain_steps + self.critic_only_steps
        if step < 0:
            return "critic"
        if self.extra_critic_every:
            rounds, step = divmod(step, self.extra_critic_every + self.extra_critic_steps)
            if step >= self.extra_critic_every:
                return "critic"
            step += rounds * self.extra_critic_every
        return "generator" if step % (self.critic_steps + 1) == self.critic_steps else "critic"

    def counts(self, steps: int) -> dict[UpdateKind, int]:
        """How many updates of each kind a run has.

        Args:
            steps: of the run, all kinds together.
        """
        pretraining = min(steps, self.pretrain_steps)
        cycles = max(0, steps - self.pretrain_steps - self.critic_only_steps)
        if self.extra_critic_every:
            rounds, rest = divmod(cycles, self.extra_critic_every + self.extra_critic_steps)
            cycles = rounds * self.extra_critic_every + min(rest, self.extra_critic_every)
        generator = cycles // (self.critic_steps + 1)
        return {"pretraining": pretraining, "critic": steps - pretraining - generator, "generator": generator}
