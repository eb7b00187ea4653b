"""What retrieval needs of a trained dual encoder or ViLEM: the two encoders and the two projections."""

import copy

from mmengine.config import Config, ConfigDict
from torch import Tensor

from mmvlforge.models.weights.checkpoint_files import meta_state_dict

__all__ = ['as_retriever']

_ENCODERS = ('image_encoder', 'text_encoder')
_FIELDS = (*_ENCODERS, 'image_dims', 'text_dims', 'embed_dims', 'proj_bias', 'data_preprocessor')
_TRAINING = ('num_cross_layers', 'memory_dims', 'shift_dims', 'init_cfg')  # of an encoder


def _retriever_config(model: dict) -> ConfigDict:
    """Config of the vanilla dual encoder that a model retrieves with."""
    retriever = ConfigDict(type='DualEncoder', **{name: model[name] for name in _FIELDS if name in model})
    for name in _ENCODERS:
        retriever[name] = ConfigDict({k: v for k, v in retriever[name].items() if k not in _TRAINING})
    return retriever


def as_retriever(cfg: Config, weights: dict[str, Tensor]) -> tuple[Config, dict[str, Tensor]]:
    """Config and weights of the dual encoder that a model retrieves with; of ViLEM nothing is left that proofreads.

    If the config retrieves with the momentum encoders, these are what is taken.

    Args:
        cfg: Config of a dual encoder; it stays as it is.
        weights: All of its weights.
    """
    prefix = 'momentum.' if cfg.model.get('momentum_features') else ''
    cfg = copy.deepcopy(cfg)
    cfg.model = _retriever_config(cfg.model)
    for name in ('val_evaluator', 'test_evaluator'):
        if 'metrics' in cfg.get(name, {}):
            cfg[name].metrics = [metric for metric in cfg[name].metrics if metric.type != 'ProofreadingMetric']
    return cfg, {name: weights[prefix + name] for name in meta_state_dict(cfg.model)}
