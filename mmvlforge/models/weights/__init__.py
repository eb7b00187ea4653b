"""Weights of other projects: key maps, reading, and initialisers for ``init_cfg``."""

from mmvlforge.models.weights.alignment import ClassNameAlignment, RidgeAlignment
from mmvlforge.models.weights.conversion import Converted, convert
from mmvlforge.models.weights.hub import HubPretrained, OpenCLIPPretrained
from mmvlforge.models.weights.key_maps import (
    albef_names,
    bert_names,
    clip_text_names,
    clip_vit_names,
    efficientnet_lite0_names,
    hf_text_names,
    meter_names,
    mlm_head_names,
    open_clip_names,
    timm_vit_names,
    unstack_open_clip,
)
from mmvlforge.models.weights.pretrained import (
    AlignedPretrained,
    CLIPPretrained,
    HFPretrained,
    PartPretrained,
    RetrieverPretrained,
    ViTPretrained,
)
from mmvlforge.models.weights.reading import read_hf_weights, read_state_dict
from mmvlforge.models.weights.starter import StarterWeights

__all__ = [
    'AlignedPretrained',
    'CLIPPretrained',
    'ClassNameAlignment',
    'Converted',
    'HFPretrained',
    'HubPretrained',
    'OpenCLIPPretrained',
    'PartPretrained',
    'RetrieverPretrained',
    'RidgeAlignment',
    'StarterWeights',
    'ViTPretrained',
    'albef_names',
    'bert_names',
    'clip_text_names',
    'clip_vit_names',
    'convert',
    'efficientnet_lite0_names',
    'hf_text_names',
    'meter_names',
    'mlm_head_names',
    'open_clip_names',
    'read_hf_weights',
    'read_state_dict',
    'timm_vit_names',
    'unstack_open_clip',
]
