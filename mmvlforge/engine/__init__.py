"""Extensions of MMEngine's training engine."""

from mmvlforge.engine.hooks import EpochSeedHook, HFExportHook, ManipulationVisualizationHook, SkippedPictureHook
from mmvlforge.engine.optim_wrappers import AutocastOptimWrapper

__all__ = [
    'AutocastOptimWrapper',
    'EpochSeedHook',
    'HFExportHook',
    'ManipulationVisualizationHook',
    'SkippedPictureHook',
]
