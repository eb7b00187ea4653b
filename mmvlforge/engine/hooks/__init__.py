"""Hooks."""

from mmvlforge.engine.hooks.epoch_seed_hook import EpochSeedHook

__all__ = ['EpochSeedHook']
