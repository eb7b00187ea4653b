"""Optimiser wrappers, and how an optimiser is made."""

from mmvlforge.engine.optim_wrappers.autocast_optim_wrapper import AutocastOptimWrapper
from mmvlforge.engine.optim_wrappers.decay_sparing_constructor import DecaySparingConstructor

__all__ = ['AutocastOptimWrapper', 'DecaySparingConstructor']
