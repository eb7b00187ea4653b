"""Hooks."""

from mmvlforge.engine.hooks.epoch_seed_hook import EpochSeedHook
from mmvlforge.engine.hooks.manipulation_visualization_hook import ManipulationVisualizationHook

__all__ = ['EpochSeedHook', 'ManipulationVisualizationHook']
