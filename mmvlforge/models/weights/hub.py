"""Initialisers from whole vision-language models: those of Hugging Face's hub, and open_clip's."""

import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig

from mmvlforge.models.weights.conversion import load_into
from mmvlforge.models.weights.key_maps import open_clip_names, unstack_open_clip
from mmvlforge.models.weights.reading import first_of, read_hf_weights
from mmvlforge.registry import WEIGHT_INITIALIZERS

__all__ = ['HubPretrained', 'OpenCLIPPretrained', 'hub_folder', 'import_open_clip']

# What changes the outputs of a tower though all shapes may fit.
_FIELDS = (
    'model_type',
    'hidden_size',
    'num_hidden_layers',
    'num_attention_heads',
    'intermediate_size',
    'hidden_act',
    'layer_norm_eps',
    'patch_size',
    'vocab_size',
    'max_position_embeddings',
)
# What no published model has: it starts anew.
_OURS = re.compile(
    r'(momentum|contrastive_head|corruptor|detection_head|correction_head)\..*'
    r'|text_encoder\.(layers\.\d+\.(cross_attn|cross_norm|memory_norm)|shift_proj)\..*'
)


def import_open_clip() -> ModuleType:
    """The package open_clip, which is optional and takes seconds to import.

    Raises:
        ValueError: It is not installed, or something that it needs is not.
    """
    try:
        return import_module('open_clip')
    except ImportError as error:
        raise ValueError(
            f"open_clip is not installed, or not whole ({error}): pip install 'mmvlforge[open-clip]', or without its "
            'dependencies: pip install --no-deps open_clip_torch timm ftfy wcwidth'
        ) from error


def hub_folder(name: str) -> Path:
    """The folder of a model: a local one as it is, or that into which the hub's model of this name is fetched.

    Raises:
        ValueError: There is no such folder, and the hub cannot be reached or has no such model.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    try:
        fetched = Path(snapshot_download(name, allow_patterns=['config.json', 'model*.safetensors*']))
        if not list(fetched.glob('model*.safetensors*')):
            snapshot_download(name, allow_patterns=['config.json', 'pytorch_model*.bin*'])
        return fetched
    except (OSError, ValueError, HfHubHTTPError) as error:
        reason = str(error).strip().partition('\n')[0]
        raise ValueError(
            f'init_cfg.name={name!r} is no folder here, and could not be fetched by this name: '
            f'{reason}. Where the hub can be reached, fetch it with: '
            f'hf download {name} --local-dir FOLDER; then give that FOLDER (config.json and model.safetensors), to the '
            'tokenizer too. Or start from nothing with init_cfg=None'
        ) from error


def _compare(theirs: Mapping[str, Any], ours: Mapping[str, Any], part: str, where: str) -> None:
    """Raise ValueError if a tower differs from the config's in one of ``_FIELDS``."""
    differ = [field for field in _FIELDS if field in theirs and field in ours and theirs[field] != ours[field]]
    if differ:
        rows = '; '.join(f'{field} is {theirs[field]!r} there, {ours[field]!r} in the config' for field in differ)
        raise ValueError(f'{where}: not the {part} of the config: {rows}')


def hub_names(module: Any, keys: Iterable[str]) -> dict[str, str]:
    """A whole CLIP or SigLIP of Hugging Face → DualEncoder, whose encoders name their own part."""
    names = {key: f'image_encoder.{name}' for key, name in module.image_encoder.hub_names(keys).items()}
    names.update({key: f'text_encoder.{name}' for key, name in module.text_encoder.hub_names(keys).items()})
    return names | {
        'visual_projection.weight': 'image_proj.weight',
        'text_projection.weight': 'text_proj.weight',
        'text_model.head.weight': 'text_proj.weight',
        'text_model.head.bias': 'text_proj.bias',
    }


def _load_whole(
    module: Any, source: dict[str, Tensor], names: dict[str, str], scale: Tensor | None, bias: Tensor | None, where: str
) -> None:
    """Fill a DualEncoder, and its contrastive head's temperature; both towers and both maps must be filled."""
    missing = load_into(module, source, names, where).missing
    missing = [name for name in missing if not _OURS.fullmatch(name)]
    if missing:
        raise ValueError(
            f'{where}: lacks {len(missing)} tensors of the model: {first_of(missing)}. To start one tower alone, set '
            'init_cfg there'
        )
    if module.contrastive_head is not None and scale is not None:
        module.contrastive_head.start_scale(scale, bias)


@WEIGHT_INITIALIZERS.register_module()
class HubPretrained:
    """Start a DualEncoder or ViLEM from a CLIP or SigLIP of transformers; or one tower from any model that has it.

    A whole model fills both towers, both maps (SigLIP's has one, its text tower's head) and the contrastive head's
    temperature and bias. What is ViLEM's own starts anew.

    Args:
        name: Name on the Hugging Face hub (``'openai/clip-vit-base-patch16'``), or a local folder with ``config.json``
            and weights, which is read without any network.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: Any) -> None:
        """Load into ``module``.

        Raises:
            ValueError: There is no such model; a file is unreadable; it is another model than that of the config; a
                shape does not fit; or the weights are not finite.
        """
        folder, where = hub_folder(self.name), str(self.name)
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        except (OSError, ValueError) as error:
            reason = str(error).partition('\n')[0]  # transformers goes on to advise trust_remote_code
            raise ValueError(f'{where}: config.json cannot be read: {reason}') from error
        source = read_hf_weights(folder)
        if hasattr(module, 'hub_names'):  # one tower
            _compare(_tower(config, module.hub_tower), module.hf_config, module.hub_tower, where)
            load_into(module, source, module.hub_names(source), where)
            return
        for part in ('image_encoder', 'text_encoder'):
            encoder = getattr(module, part)
            if not hasattr(encoder, 'hub_names'):
                raise ValueError(f'{where}: cannot fill {part}, a {type(encoder).__name__}: set init_cfg of each tower')
            _compare(_tower(config, encoder.hub_tower), encoder.hf_config, encoder.hub_tower, where)
        names = hub_names(module, source)
        scale, bias = source.pop('logit_scale', None), source.pop('logit_bias', None)
        _load_whole(module, source, names, scale, bias, where)


def _tower(config: PretrainedConfig, tower: str) -> dict:
    """Fields of a tower's config, of that of a whole model or of the tower's own."""
    return getattr(config, tower, config).to_dict()


@WEIGHT_INITIALIZERS.register_module()
class OpenCLIPPretrained:
    """Start a DualEncoder or ViLEM of an OpenCLIPImageEncoder and a PreNormTextEncoder from weights of open_clip.

    Args:
        pretrained: Tag of weights for the image encoder's ``arch`` (``open_clip.list_pretrained()`` lists them), which
            open_clip fetches, or the path of a local file of weights, which it reads without any network.
    """

    def __init__(self, pretrained: str) -> None:
        self.pretrained = pretrained

    def __call__(self, module: Any) -> None:
        """Load into ``module``.

        Raises:
            ValueError: open_clip is not installed, the weights cannot be had, or they are not those of the config.
        """
        open_clip = import_open_clip()
        arch = module.image_encoder.arch
        where = f'{arch} {self.pretrained}'
        config = open_clip.get_model_config(arch)
        _compare(_open_clip_text(config), module.text_encoder.hf_config, 'text_config', where)
        tag = open_clip.get_pretrained_cfg(arch, self.pretrained)
        if tag and bool(tag.get('quick_gelu')) != bool(config.get('quick_gelu')):
            other = arch.removesuffix('-quickgelu') + ('-quickgelu' if tag.get('quick_gelu') else '')
            raise ValueError(f'{where}: these weights were trained as {other}: set image_encoder.arch to that')
        file = Path(self.pretrained).expanduser()
        try:
            if not tag and not file.is_file():
                raise ValueError('no such file, and no tag of this architecture')
            whole = open_clip.create_model(arch, pretrained=self.pretrained if tag else str(file))
        except (OSError, RuntimeError, ValueError) as error:
            tags = ', '.join(open_clip.list_pretrained_tags_by_model(arch)) or 'none'
            reason = str(error).partition('\n')[0]
            raise ValueError(
                f'init_cfg.pretrained={self.pretrained!r}: {reason}. Give a file of such weights or, if the network '
                f"can be reached, one of open_clip's tags for {arch}: {tags}"
            ) from error
        source = unstack_open_clip(whole.state_dict())
        scale, bias = source.pop('logit_scale', None), source.pop('logit_bias', None)
        _load_whole(module, source, open_clip_names(source), scale, bias, where)


def _open_clip_text(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the text tower of one of open_clip's configs, as Hugging Face would name them."""
    text = config['text_cfg']
    act = 'gelu_pytorch_tanh' if (text.get('act_kwargs') or {}).get('approximate') == 'tanh' else 'gelu'
    return dict(
        model_type='siglip_text_model' if text.get('no_causal_mask') else 'clip_text_model',
        num_attention_heads=text.get('heads'),
        hidden_act='quick_gelu' if config.get('quick_gelu') else act,
        layer_norm_eps=(text.get('norm_kwargs') or {}).get('eps', 1e-5),
    )
