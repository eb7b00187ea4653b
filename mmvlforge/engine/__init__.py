"""Extensions of MMEngine's training engine."""

from mmvlforge.engine.hooks import EpochSeedHook, HFExportHook, ManipulationVisualizationHook, SkippedPictureHook
from mmvlforge.engine.optim_wrappers import AutocastOptimWrapper, DecaySparingConstructor

__all__ = [
    'AutocastOptimWrapper',
    'DecaySparingConstructor',
    'EpochSeedHook',
    'HFExportHook',
    'ManipulationVisualizationHook',
    'SkippedPictureHook',
]
