"""Names of published weights → our names. Pure functions over the keys of a state dict.

Each takes the keys and returns ``{key: our name}``; keys we have no place for are left out of the result.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

_CLIP_VIT = [
    (r'conv1\.weight', r'patch_embed.projection.weight'),
    (r'class_embedding', r'cls_token'),
    (r'positional_embedding', r'pos_embed'),
    (r'ln_pre\.(weight|bias)', r'pre_norm.\1'),
    (r'ln_post\.(weight|bias)', r'ln1.\1'),
    # Both sides stack query, key and value in this order.
    (r'transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)', r'layers.\1.attn.qkv.\2'),
    (r'transformer\.resblocks\.(\d+)\.attn\.out_proj\.(weight|bias)', r'layers.\1.attn.proj.\2'),
    (r'transformer\.resblocks\.(\d+)\.ln_([12])\.(weight|bias)', r'layers.\1.ln\2.\3'),
    (r'transformer\.resblocks\.(\d+)\.mlp\.c_fc\.(weight|bias)', r'layers.\1.ffn.layers.0.0.\2'),
    (r'transformer\.resblocks\.(\d+)\.mlp\.c_proj\.(weight|bias)', r'layers.\1.ffn.layers.1.\2'),
]

_TIMM_VIT = [
    (r'(cls_token|pos_embed)', r'\1'),
    (r'patch_embed\.proj\.(weight|bias)', r'patch_embed.projection.\1'),
    (r'norm\.(weight|bias)', r'ln1.\1'),
    (r'blocks\.(\d+)\.norm([12])\.(weight|bias)', r'layers.\1.ln\2.\3'),
    # Both sides stack query, key and value in this order.
    (r'blocks\.(\d+)\.attn\.(qkv|proj)\.(weight|bias)', r'layers.\1.attn.\2.\3'),
    (r'blocks\.(\d+)\.mlp\.fc1\.(weight|bias)', r'layers.\1.ffn.layers.0.0.\2'),
    (r'blocks\.(\d+)\.mlp\.fc2\.(weight|bias)', r'layers.\1.ffn.layers.1.\2'),
]

# Blocks of each stage of EfficientNet-B0 and -Lite0, which their own files number through.
_EFFICIENTNET_B0_STAGES = (1, 2, 2, 3, 3, 4, 1)
_EFFICIENTNET = [
    (r'_conv_(stem|head)\.weight', r'backbone.conv_\1.weight'),
    (r'_bn0\.(\w+)', r'backbone.bn1.\1'),
    (r'_bn1\.(\w+)', r'backbone.bn2.\1'),
    (r'_fc\.(weight|bias)', r'classifier.\1'),
]
# The first block does not expand: its depthwise convolution comes first.
_EFFICIENTNET_FIRST_BLOCK = [
    (r'_depthwise_conv\.(\w+)', r'conv_dw.\1'),
    (r'_project_conv\.(\w+)', r'conv_pw.\1'),
    (r'_bn([12])\.(\w+)', r'bn\1.\2'),
]
_EFFICIENTNET_BLOCK = [
    (r'_expand_conv\.(\w+)', r'conv_pw.\1'),
    (r'_depthwise_conv\.(\w+)', r'conv_dw.\1'),
    (r'_project_conv\.(\w+)', r'conv_pwl.\1'),
    (r'_bn0\.(\w+)', r'bn1.\1'),
    (r'_bn1\.(\w+)', r'bn2.\1'),
    (r'_bn2\.(\w+)', r'bn3.\1'),
]

_BERT_EMBEDDINGS = [
    (r'(word|position)_embeddings\.weight', r'\1_embed.weight'),
    (r'token_type_embeddings\.weight', r'type_embed.weight'),
    (r'LayerNorm\.(weight|bias)', r'norm.\1'),
]

_BERT_MLM_HEAD = [
    (r'transform\.dense\.(weight|bias)', r'transform.0.\1'),
    (r'transform\.LayerNorm\.(weight|bias)', r'transform.2.\1'),
    (r'transform\.LayerNorm\.gamma', r'transform.2.weight'),  # the oldest files
    (r'transform\.LayerNorm\.beta', r'transform.2.bias'),
    (r'(?:decoder\.)?bias', r'bias'),
]

_METER_NECK = [
    (r'token_type_embeddings\.weight', r'modality_embed'),  # row 0 text, row 1 image on both sides
    (r'cross_modal_(text|image)_transform\.(weight|bias)', r'\1_transform.\2'),
]

# A layer of BERT in Hugging Face's names, with or without cross-attention → TransformerLayer.
_BERT_LAYER = [
    (r'attention\.self\.(query|key|value)\.(weight|bias)', r'self_attn.\1.\2'),
    (r'attention\.output\.dense\.(weight|bias)', r'self_attn.out.\1'),
    (r'attention\.output\.LayerNorm\.(weight|bias)', r'self_norm.\1'),
    (r'crossattention\.self\.(query|key|value)\.(weight|bias)', r'cross_attn.\1.\2'),
    (r'crossattention\.output\.dense\.(weight|bias)', r'cross_attn.out.\1'),
    (r'crossattention\.output\.LayerNorm\.(weight|bias)', r'cross_norm.\1'),
    (r'intermediate\.dense\.(weight|bias)', r'fc1.\1'),
    (r'output\.dense\.(weight|bias)', r'fc2.\1'),
    (r'output\.LayerNorm\.(weight|bias)', r'ffn_norm.\1'),
]


# Text tower of CLIP and SigLIP in Hugging Face's names → PreNormTextEncoder.
_CLIP_TEXT = [
    (r'embeddings\.token_embedding\.weight', r'word_embed.weight'),
    (r'embeddings\.position_embedding\.weight', r'position_embed.weight'),
    (r'final_layer_norm\.(weight|bias)', r'norm.\1'),
    (r'encoder\.layers\.(\d+)\.self_attn\.q_proj\.(weight|bias)', r'layers.\1.self_attn.query.\2'),
    (r'encoder\.layers\.(\d+)\.self_attn\.k_proj\.(weight|bias)', r'layers.\1.self_attn.key.\2'),
    (r'encoder\.layers\.(\d+)\.self_attn\.v_proj\.(weight|bias)', r'layers.\1.self_attn.value.\2'),
    (r'encoder\.layers\.(\d+)\.self_attn\.out_proj\.(weight|bias)', r'layers.\1.self_attn.out.\2'),
    (r'encoder\.layers\.(\d+)\.layer_norm1\.(weight|bias)', r'layers.\1.self_norm.\2'),
    (r'encoder\.layers\.(\d+)\.layer_norm2\.(weight|bias)', r'layers.\1.ffn_norm.\2'),
    (r'encoder\.layers\.(\d+)\.mlp\.(fc[12])\.(weight|bias)', r'layers.\1.\2.\3'),
]

# The same tower in open_clip's names; its stacked query, key and value are no matter of names.
_OPEN_CLIP_TEXT = [
    (r'token_embedding\.weight', r'word_embed.weight'),
    (r'positional_embedding', r'position_embed.weight'),
    (r'ln_final\.(weight|bias)', r'norm.\1'),
    (r'transformer\.resblocks\.(\d+)\.attn\.(query|key|value)_(weight|bias)', r'layers.\1.self_attn.\2.\3'),
    (r'transformer\.resblocks\.(\d+)\.attn\.out_proj\.(weight|bias)', r'layers.\1.self_attn.out.\2'),
    (r'transformer\.resblocks\.(\d+)\.ln_1\.(weight|bias)', r'layers.\1.self_norm.\2'),
    (r'transformer\.resblocks\.(\d+)\.ln_2\.(weight|bias)', r'layers.\1.ffn_norm.\2'),
    (r'transformer\.resblocks\.(\d+)\.mlp\.c_fc\.(weight|bias)', r'layers.\1.fc1.\2'),
    (r'transformer\.resblocks\.(\d+)\.mlp\.c_proj\.(weight|bias)', r'layers.\1.fc2.\2'),
]


def _rename(keys: Iterable[str], rules: list, old_prefix: str, new_prefix: str) -> dict[str, str]:
    names = {}
    for key in keys:
        for pattern, name in rules:
            match = re.fullmatch(re.escape(old_prefix) + pattern, key)
            if match:
                names[key] = new_prefix + match.expand(name)
    return names


def _rename_layers(keys: Iterable[str], layer: str, name: str) -> dict[str, str]:
    """Rename BERT layers: ``layer`` matches what stands before a layer's own names, ``name`` is to stand there."""
    names = {}
    for key in keys:
        match = re.match(layer, key)
        if match:
            own = key[match.end() :]
            renamed = _rename([own], _BERT_LAYER, '', match.expand(name))
            if own in renamed:
                names[key] = renamed[own]
    return names


def clip_vit_names(keys: Iterable[str]) -> dict[str, str]:
    """Image tower of CLIP (names of OpenAI and open_clip) → ViTImageEncoder.

    The tower's keys start with ``visual.`` in a whole CLIP; then the text tower, named alike but without the prefix,
    does not count. A tower saved alone has no prefix.
    """
    keys = list(keys)
    prefix = 'visual.' if any(key.startswith('visual.') for key in keys) else ''
    return _rename(keys, _CLIP_VIT, prefix, 'backbone.')


def timm_vit_names(keys: Iterable[str]) -> dict[str, str]:
    """Vision transformer of timm or DeiT → ViTImageEncoder and MultiLevelViT, the classifier left out."""
    return _rename(keys, _TIMM_VIT, '', 'backbone.')


def efficientnet_lite0_names(keys: Iterable[str]) -> dict[str, str]:
    """EfficientNet-Lite0 of ``efficientnet-lite-pytorch`` → TIMMImageEncoder (timm's ``tf_efficientnet_lite0``).

    The classifier becomes that of ClassProbabilityEncoder.
    """
    keys = list(keys)
    names = _rename(keys, _EFFICIENTNET, '', '')
    places = [(stage, block) for stage, count in enumerate(_EFFICIENTNET_B0_STAGES) for block in range(count)]
    for number, (stage, block) in enumerate(places):
        rules = _EFFICIENTNET_BLOCK if number else _EFFICIENTNET_FIRST_BLOCK
        names.update(_rename(keys, rules, f'_blocks.{number}.', f'backbone.blocks.{stage}.{block}.'))
    return names


def hf_text_names(keys: Iterable[str]) -> dict[str, str]:
    """RoBERTa or BERT of Hugging Face, with or without a head → HFTextEncoder.

    LayerNorm's ``gamma`` and ``beta`` of the oldest files become ``weight`` and ``bias``.
    """
    names = {}
    for key in keys:
        match = re.fullmatch(r'(?:roberta\.|bert\.)?((?:embeddings|encoder)\..+)', key)
        if match:
            name = re.sub(r'LayerNorm\.gamma$', 'LayerNorm.weight', match[1])
            names[key] = 'model.' + re.sub(r'LayerNorm\.beta$', 'LayerNorm.bias', name)
    return names


def bert_names(keys: Iterable[str]) -> dict[str, str]:
    """BERT of Hugging Face, with or without a head or cross-attention → BertTextEncoder."""
    # The names of HFTextEncoder are Hugging Face's own, the oldest spellings done away with.
    plain = {name: key for key, name in hf_text_names(keys).items()}
    names = _rename(plain, _BERT_EMBEDDINGS, 'model.embeddings.', '')
    names.update(_rename_layers(plain, r'model\.encoder\.layer\.(\d+)\.', r'layers.\1.'))
    return {plain[name]: ours for name, ours in names.items()}


def mlm_head_names(keys: Iterable[str]) -> dict[str, str]:
    """Head of masked language modelling of Hugging Face's BERT → ErrorCorrectionHead; its decoder has no place."""
    return _rename(keys, _BERT_MLM_HEAD, 'cls.predictions.', '')


def meter_names(keys: Iterable[str], cross_layers: bool = True) -> dict[str, str]:
    """METER → ManipulationDetector. METER's heads and poolers have no place.

    Args:
        keys: METER's keys.
        cross_layers: Whether the cross-modal layers are taken over.
    """
    keys = list(keys)
    names = _rename(keys, _CLIP_VIT, 'vit_model.visual.', 'image_encoder.backbone.')
    text = {key.removeprefix('text_transformer.'): key for key in keys if key.startswith('text_transformer.')}
    names.update({text[key]: 'text_encoder.' + name for key, name in hf_text_names(text).items()})
    names.update(_rename(keys, _METER_NECK, '', 'neck.'))
    if cross_layers:
        names.update(_rename_layers(keys, r'cross_modal_(text|image)_layers\.(\d+)\.', r'neck.\1_layers.\2.'))
    return names


def albef_names(keys: Iterable[str]) -> dict[str, str]:
    """ALBEF, pre-trained or fine-tuned for retrieval → DualEncoder and ViLEM.

    Encoders, projections, their momentum copies (``*_m``) and the temperature. Text layers keep their number. ALBEF's
    cross-attentions lie in its last layers and have a place only where the model has one in the same layer. Queues and
    the heads for matching and masked words have none.
    """
    keys = list(keys)
    names = {'temp': 'contrastive_head.temperature'}
    for suffix, prefix in (('', ''), ('_m', 'momentum.')):
        names.update(_rename(keys, _TIMM_VIT, f'visual_encoder{suffix}.', f'{prefix}image_encoder.backbone.'))
        start = f'text_encoder{suffix}.'
        text = {key.removeprefix(start): key for key in keys if key.startswith(start)}
        names.update({text[key]: f'{prefix}text_encoder.{name}' for key, name in bert_names(text).items()})
        for theirs, ours in (('vision', 'image'), ('text', 'text')):
            rules = [(r'(weight|bias)', r'\1')]
            names.update(_rename(keys, rules, f'{theirs}_proj{suffix}.', f'{prefix}{ours}_proj.'))
    return names


def clip_text_names(keys: Iterable[str]) -> dict[str, str]:
    """Text tower of a CLIP or SigLIP of Hugging Face, whole or alone → PreNormTextEncoder."""
    return _rename(keys, _CLIP_TEXT, 'text_model.', '')


def open_clip_names(keys: Iterable[str]) -> dict[str, str]:
    """A model of open_clip, its text tower unstacked (:func:`unstack_open_clip`) → DualEncoder."""
    names = {key: f'image_encoder.model.{key.removeprefix("visual.")}' for key in keys if key.startswith('visual.')}
    names.update(_rename(keys, _OPEN_CLIP_TEXT, '', 'text_encoder.'))
    return names | {f'text_projection.{kind}': f'text_proj.{kind}' for kind in ('weight', 'bias')}


def unstack_open_clip(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value of open_clip's own text tower parted, its projection as a linear map has it.

    A text tower that is a module of its own loses its prefix ``text.``.
    """
    parted = {}
    for key, value in state_dict.items():
        key = key.removeprefix('text.')
        stacked = re.fullmatch(r'(transformer\.resblocks\.\d+\.attn\.)in_proj_(weight|bias)', key)
        if stacked:
            for name, part in zip(('query', 'key', 'value'), value.chunk(3)):
                parted[f'{stacked[1]}{name}_{stacked[2]}'] = part
        elif key == 'text_projection':
            parted['text_projection.weight'] = value.T
        else:
            parted[key] = value
    return parted
