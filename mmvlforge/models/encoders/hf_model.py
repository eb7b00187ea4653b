"""Towers of transformers, made of the fields of their config."""

import inspect
from typing import Any

from transformers import MODEL_MAPPING, AutoConfig, AutoModel


def hf_model(config: dict, pooler: bool, with_cp: bool) -> Any:
    """A tower with transformers' random weights, attention through SDPA where it has that. Nothing is fetched.

    Args:
        config: Fields of the tower's Hugging Face config, ``model_type`` among them.
        pooler: Whether it is built with its pooler, if it can be built without.
        with_cp: Gradient checkpointing of every layer.

    Raises:
        ValueError: ``config`` has no ``model_type``.
    """
    if 'model_type' not in config:
        raise ValueError(f"config needs 'model_type' (such as 'bert' or 'clip_vision_model'), got {sorted(config)}")
    hf_config = AutoConfig.for_model(**config)
    kind: Any = MODEL_MAPPING[type(hf_config)]
    optional = 'add_pooling_layer' in inspect.signature(kind).parameters
    kwargs = dict(add_pooling_layer=pooler) if optional else {}
    model = AutoModel.from_config(hf_config, trust_remote_code=False, **kwargs)
    if with_cp:
        model.gradient_checkpointing_enable(dict(use_reentrant=False))
    return model
