"""Necks: from the encoders' features to fused ones."""

from mmvlforge.models.necks.dca_neck import DCANeck

__all__ = ['DCANeck']
