"""Data sets; each is registered under its class name."""

from mmvlforge.datasets import transforms  # registers the transforms that data sets build
from mmvlforge.datasets.collate import vl_collate
from mmvlforge.datasets.dgm4 import DGM4Dataset
from mmvlforge.datasets.seeded_dataset import SeededDataset

__all__ = ['DGM4Dataset', 'SeededDataset', 'transforms', 'vl_collate']
