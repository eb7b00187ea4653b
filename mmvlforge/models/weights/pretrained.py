"""Initialisers for ``init_cfg``: start a part of a model from published weights."""

from collections.abc import Callable, Iterable
from logging import WARNING
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from mmengine.logging import print_log
from torch import nn

from mmvlforge.annotations.json_files import read_json_object
from mmvlforge.models.weights.conversion import load_into
from mmvlforge.models.weights.key_maps import clip_vit_names, timm_vit_names
from mmvlforge.models.weights.reading import read_hf_weights, read_state_dict
from mmvlforge.registry import WEIGHT_INITIALIZERS

__all__ = [
    'AlignedPretrained',
    'CLIPPretrained',
    'HFPretrained',
    'PartPretrained',
    'RetrieverPretrained',
    'ViTPretrained',
]

# What changes the outputs of a language model. Half of it would load without a word, all shapes being right.
_FIELDS = (
    'model_type',
    'vocab_size',
    'hidden_size',
    'num_hidden_layers',
    'num_attention_heads',
    'intermediate_size',
    'hidden_act',
    'layer_norm_eps',
    'max_position_embeddings',
    'type_vocab_size',
    'pad_token_id',
)
_LINEAR = ('weight', 'bias')


class _StateDictPretrained:
    """Load a foreign state dict into a part of a model.

    Args:
        checkpoint: Path of the state dict, PyTorch or safetensors.
    """

    names: Callable[[Iterable[str]], dict[str, str]]  # foreign keys → our names

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        """Load into ``module``.

        Raises:
            ValueError: The file cannot be read, a shape does not fit, or no key does.
        """
        state_dict = read_state_dict(self.checkpoint)
        load_into(module, state_dict, self.names(state_dict), str(self.checkpoint))


@WEIGHT_INITIALIZERS.register_module()
class CLIPPretrained(_StateDictPretrained):
    """Load the image tower of a CLIP state dict (names of OpenAI and open_clip) into a ViTImageEncoder.

    Blocks that the encoder does not have, the projection and the text tower are left out; the position embedding is
    resized to the encoder's grid.

    Args:
        checkpoint: Path of the state dict, PyTorch or safetensors.
    """

    names = staticmethod(clip_vit_names)


@WEIGHT_INITIALIZERS.register_module()
class ViTPretrained(_StateDictPretrained):
    """Load an ImageNet ViT (names of timm and DeiT) into a ViTImageEncoder or MultiLevelViT.

    The classifier is left out; the position embedding is resized to the encoder's grid. DeiT's distilled models, which
    have a second class token, do not fit.

    Args:
        checkpoint: Path of the state dict, PyTorch or safetensors.
    """

    names = staticmethod(timm_vit_names)


@WEIGHT_INITIALIZERS.register_module()
class HFPretrained:
    """Load a RoBERTa or BERT folder (``config.json`` and weights) into HFTextEncoder or BertTextEncoder, BERT's
    head of masked language modelling into ErrorCorrectionHead.

    An encoder leaves heads and the pooler out. A folder without that head leaves ErrorCorrectionHead as it is, and the
    log says so.

    Args:
        folder: Local folder, as ``save_pretrained`` or a download of the hub makes it.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, module: Any) -> None:
        """Load into ``module``, which says what Hugging Face calls its fields (``hf_config``) and keys (``hf_names``).

        A head says with ``hf_optional`` that a folder need not have it. Only the fields it names are compared.

        Raises:
            ValueError: A file is unreadable, the folder's model is another one than ``module``, a shape does not fit,
                or no key does.
            FileNotFoundError: There is no ``config.json``.
        """
        theirs = read_json_object(Path(self.folder).expanduser() / 'config.json')
        ours = module.hf_config
        optional = getattr(module, 'hf_optional', False)
        differ = [f for f in (ours if optional else _FIELDS) if f in theirs and theirs[f] != ours.get(f)]
        if differ:
            rows = '; '.join(f'{f} is {theirs[f]!r} in the folder, {ours.get(f)!r} in the config' for f in differ)
            raise ValueError(f'{self.folder}: not the model of the config: {rows}')
        state_dict = read_hf_weights(self.folder)
        names = module.hf_names(state_dict)
        if optional:
            state_dict = {key: state_dict[key] for key in names}  # the encoder tells of the others
            if not names:
                told = f'{self.folder}: has no weights for {type(module).__name__}, which keeps its own start'
                print_log(told, logger='current', level=WARNING)
                return
        load_into(module, state_dict, names, str(self.folder))


@WEIGHT_INITIALIZERS.register_module()
class RetrieverPretrained:
    """Load the encoders, the heads and the temperature of a checkpoint into a DualEncoder or ViLEM, for fine-tuning.

    Queues stay behind, since their image ids are those of the other data set, and so do the momentum encoders, which
    begin anew at the encoders. The position embedding is resized to the encoder's grid. To go on with an interrupted
    run, with queues and all, use ``--resume``.

    Args:
        checkpoint: Path of a checkpoint that this project wrote. One that could run code is refused.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        """Load into ``module``.

        Raises:
            ValueError: There is no such file, a shape does not fit, or no key does.
        """
        if not Path(self.checkpoint).is_file():
            raise ValueError(
                f'model.init_cfg.checkpoint={self.checkpoint!r} does not exist. Pre-train first, name another '
                'checkpoint, or start from nothing with --cfg-options model.init_cfg=None'
            )
        state_dict = read_state_dict(self.checkpoint)
        run = {name for name, _ in module.named_buffers() if name.startswith('contrastive_head.')}
        names = {key: key for key in state_dict if key not in run and not key.startswith('momentum.')}
        load_into(module, state_dict, names, self.checkpoint)


@WEIGHT_INITIALIZERS.register_module()
class PartPretrained:
    """Load a part of a checkpoint that this project wrote, such as an image encoder, into the same part of a model.

    Args:
        checkpoint: Path of the checkpoint. One that could run code is refused.
        prefix: Name of the part in it, ``'image_encoder'``.
    """

    def __init__(self, checkpoint: str, prefix: str) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix

    def __call__(self, module: nn.Module) -> None:
        """Load into ``module``.

        Raises:
            ValueError: The file cannot be read, has not all weights of ``module``, or a shape does not fit.
        """
        start = f'{self.prefix}.'
        found = {k[len(start) :]: v for k, v in read_state_dict(self.checkpoint).items() if k.startswith(start)}
        lacking = [name for name in module.state_dict() if name not in found]
        if lacking:
            raise ValueError(
                f'{self.checkpoint}: nothing of {self.prefix!r} in it for {len(lacking)} weights of '
                f'{type(module).__name__}, such as {lacking[0]}'
            )
        load_into(module, found, {name: name for name in found}, self.checkpoint)


@WEIGHT_INITIALIZERS.register_module()
class AlignedPretrained:
    """Begin DCANeck's maps at those of an aligned dual encoder: pictures and captions then share a space at once.

    ``mmvlforge align`` fits them in closed form (RidgeAlignment). Of pictures that have more channels than the aligned
    ones, the further channels begin at zero.

    Args:
        checkpoint: Weights of the aligned model.
        compare: Usual length of a caption's feature in the shared space: the neck then begins at comparing them
            (:meth:`DCANeck.begin_at_comparison`). None leaves that to be learnt.
    """

    def __init__(self, checkpoint: str, compare: float | None = None) -> None:
        self.checkpoint = checkpoint
        self.compare = compare

    def __call__(self, module: Any) -> None:
        """Load into ``module``.

        Raises:
            ValueError: The file cannot be read, is of no dual encoder, or a shape does not fit.
        """
        state_dict = read_state_dict(self.checkpoint)
        names = {f'{kind}_proj.{part}': f'{kind}_transform.{part}' for kind in ('image', 'text') for part in _LINEAR}
        missing = [key for key in names if key not in state_dict]
        if missing:
            raise ValueError(f'{self.checkpoint}: not an aligned dual encoder: no {", ".join(missing)}')
        maps = {key: state_dict[key] for key in names}
        further = module.get_parameter('image_transform.weight').shape[1] - maps['image_proj.weight'].shape[1]
        maps['image_proj.weight'] = F.pad(maps['image_proj.weight'], (0, max(0, further)))
        load_into(module, maps, names, self.checkpoint)
        if self.compare:
            module.begin_at_comparison(self.compare)
