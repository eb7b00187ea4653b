"""Hooks."""

from mmvlforge.engine.hooks.autocast_test_hook import AutocastTestHook
from mmvlforge.engine.hooks.epoch_seed_hook import EpochSeedHook
from mmvlforge.engine.hooks.feature_cache_hook import FeatureCacheHook
from mmvlforge.engine.hooks.hf_export_hook import HFExportHook
from mmvlforge.engine.hooks.manifest_hook import ManifestHook
from mmvlforge.engine.hooks.manipulation_visualization_hook import ManipulationVisualizationHook
from mmvlforge.engine.hooks.resumable_checkpoint_hook import ResumableCheckpointHook
from mmvlforge.engine.hooks.skipped_picture_hook import SkippedPictureHook

__all__ = [
    'AutocastTestHook',
    'EpochSeedHook',
    'FeatureCacheHook',
    'HFExportHook',
    'ManifestHook',
    'ManipulationVisualizationHook',
    'ResumableCheckpointHook',
    'SkippedPictureHook',
]
