"""Data sets; each is registered under its class name."""

import mmvlforge.openmmlab  # noqa: F401  # first, so that nothing is printed
from mmvlforge.datasets import transforms  # registers the transforms that data sets build
from mmvlforge.datasets.caption_dataset import CaptionDataset
from mmvlforge.datasets.collate import vl_collate
from mmvlforge.datasets.dgm4 import DGM4Dataset
from mmvlforge.datasets.mixed_caption_dataset import MixedCaptionDataset
from mmvlforge.datasets.pair_sampler import PairSampler
from mmvlforge.datasets.retrieval_dataset import RetrievalDataset
from mmvlforge.datasets.seeded_dataset import SeededDataset
from mmvlforge.datasets.web_caption_dataset import WebCaptionDataset

__all__ = [
    'CaptionDataset',
    'DGM4Dataset',
    'MixedCaptionDataset',
    'PairSampler',
    'RetrievalDataset',
    'SeededDataset',
    'WebCaptionDataset',
    'transforms',
    'vl_collate',
]
