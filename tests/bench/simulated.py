"""How fast the simulation lives: epochs of a whole network in virtual time per second of one core, with no faults."""

from __future__ import annotations

from typing import Final

from core import WITNESSES, seconds
from processes import BenchError

from troth_node.testing.trial import Options, Trial

SEED: Final = 1
AUTHORS: Final = 2
EPOCHS: Final = 40
QUICK_EPOCHS: Final = 10
LIMIT_MS: Final = 600_000


def measure_simulated(*, is_quick: bool) -> dict[str, object]:
    """Epochs closed by all nodes per CPU second, and virtual time over CPU time; BenchError if a promise breaks."""
    epochs = QUICK_EPOCHS if is_quick else EPOCHS
    trial = Trial(Options(SEED, weights=(1,) * WITNESSES, authors=AUTHORS))
    trial._set_up()
    cpu_s = seconds(lambda: _live(trial, epochs))
    sealed = min((core.epoch for core in trial.cores()), default=0) - 1
    if sealed < epochs:
        raise BenchError(
            f"the simulation sealed {sealed} of {epochs} epochs in {LIMIT_MS / 1e3:.0f} virtual s"
        )
    trial.check()
    return {
        "witnesses": WITNESSES,
        "authors": AUTHORS,
        "epochs": sealed,
        "final_entries": len(trial.recorder.final),
        "cpu_s": round(cpu_s, 3),
        "epochs_per_cpu_s": round(sealed / cpu_s, 1),
        "cpu_ms_per_node_and_epoch": round(cpu_s * 1e3 / sealed / (WITNESSES + AUTHORS), 2),
        "virtual_over_cpu": round(trial.world.now_ms / 1e3 / cpu_s, 2),
    }


def _live(trial: Trial, epochs: int) -> None:
    trial.world.run(lambda: all(core.epoch > epochs for core in trial.cores()), LIMIT_MS)
