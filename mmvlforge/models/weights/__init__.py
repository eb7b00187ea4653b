"""Weights of other projects: key maps, reading, and initialisers for ``init_cfg``."""

from mmvlforge.models.weights.clip_pretrained import CLIPPretrained
from mmvlforge.models.weights.conversion import Converted, convert
from mmvlforge.models.weights.hf_pretrained import HFPretrained
from mmvlforge.models.weights.key_maps import (
    albef_names,
    bert_names,
    clip_vit_names,
    hf_text_names,
    meter_names,
    timm_vit_names,
)
from mmvlforge.models.weights.reading import read_hf_weights, read_state_dict
from mmvlforge.models.weights.retriever_pretrained import RetrieverPretrained
from mmvlforge.models.weights.vit_pretrained import ViTPretrained

__all__ = [
    'CLIPPretrained',
    'Converted',
    'HFPretrained',
    'RetrieverPretrained',
    'ViTPretrained',
    'albef_names',
    'bert_names',
    'clip_vit_names',
    'convert',
    'hf_text_names',
    'meter_names',
    'read_hf_weights',
    'read_state_dict',
    'timm_vit_names',
]
