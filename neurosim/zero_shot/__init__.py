"""Zero-shot retrieval across senses: two liquids, two small projections, classes never seen in training."""

from neurosim.zero_shot.config import ZeroShot, load_zero_shot, unseen_choices
from neurosim.zero_shot.cost import training_cost
from neurosim.zero_shot.run import run_zero_shot

__all__ = ["ZeroShot", "load_zero_shot", "run_zero_shot", "training_cost", "unseen_choices"]
