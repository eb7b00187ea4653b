"""Extensions of MMEngine's training engine."""

from mmvlforge.engine.hooks import EpochSeedHook, ManipulationVisualizationHook, SkippedPictureHook
from mmvlforge.engine.optim_wrappers import AutocastOptimWrapper

__all__ = ['AutocastOptimWrapper', 'EpochSeedHook', 'ManipulationVisualizationHook', 'SkippedPictureHook']
