"""Published checkpoints, written anew under our names. What is taken over and what is not: docs/weights.md."""

from mmvlforge.models.weights.checkpoint_files import read_config, require_groups, write_converted
from mmvlforge.models.weights.key_maps import albef_names, meter_names
from mmvlforge.models.weights.reading import read_state_dict

__all__ = ['convert_albef', 'convert_meter']

# Prefixes that make a file what it should be.
_METER_GROUPS = [
    'vit_model.visual.',
    'text_transformer.',
    'cross_modal_text_transform.',
    'cross_modal_image_transform.',
    'token_type_embeddings.',
    'cross_modal_text_layers.',
    'cross_modal_image_layers.',
]
_ALBEF_GROUPS = ['visual_encoder.', 'text_encoder.', 'vision_proj.', 'text_proj.']

# Our names that a file is not expected to fill.
_METER_LEFT_OUT = r'(binary|type|box|token)_head\..*'
_METER_CROSS_LAYERS = r'|neck\.(image|text)_layers\..*'
_METER_TEXT = r'|text_encoder\..*'
_ALBEF_LEFT_OUT = (
    r'(detection|correction)_head\..*'
    r'|contrastive_head\.(image_queue|text_queue|id_queue|next_key|steps)'
    r'|text_encoder\.layers\.\d+\.cross_.*'
)

_UNSAFE = 'add --unsafe-load if you trust where the file comes from (unpickling can run code)'
_METER_REMEDY = f'Lightning files hold training settings beside the weights: {_UNSAFE}'
_ALBEF_REMEDY = f'Files with training settings beside the weights: {_UNSAFE}'


def convert_meter(source: str, out: str, config: str, cross_layers: bool = True, unsafe: bool = False) -> list[str]:
    """Convert a METER checkpoint to the manipulation detector's names.

    The text tower is left out where the model's is no RoBERTa: it starts from its own ``init_cfg``.

    Args:
        source: METER's Lightning checkpoint, weights under ``state_dict``.
        out: File to write, for ``load_from`` in a config.
        config: Path of the config of the model.
        cross_layers: Whether METER's cross-modal layers are taken over.
        unsafe: Unpickle any object in the file. That can run code: only for files of a trusted source.

    Returns:
        What was done, as lines for people.

    Raises:
        ValueError: ``source`` cannot be read, is no METER checkpoint, or does not fit the model.
        ValueError: The config does not exist.
    """
    state_dict = read_state_dict(source, unsafe, _METER_REMEDY)
    require_groups(state_dict, _METER_GROUPS, source, 'a METER checkpoint')
    model = read_config(config).model
    kind = model.get('text_encoder', {}).get('config', {}).get('model_type', 'roberta')
    names, left_out, lines = meter_names(state_dict, cross_layers), _METER_LEFT_OUT, []
    if not cross_layers:
        left_out += _METER_CROSS_LAYERS
    if kind != 'roberta':
        names = {key: name for key, name in names.items() if not name.startswith('text_encoder.')}
        left_out += _METER_TEXT
        lines = [f"the text tower is left out: METER's is roberta, the config's {kind}"]
    return lines + write_converted(state_dict, names, model, source, out, left_out)


def convert_albef(source: str, out: str, config: str, unsafe: bool = False) -> list[str]:
    """Convert an ALBEF checkpoint to the names of the dual encoder and of ViLEM.

    Args:
        source: ALBEF's checkpoint, weights under ``model``.
        out: File to write, for ``load_from`` in a config.
        config: Path of the config of the model.
        unsafe: Unpickle any object in the file. That can run code: only for files of a trusted source.

    Returns:
        What was done, as lines for people.

    Raises:
        ValueError: ``source`` cannot be read, is no ALBEF checkpoint, or does not fit the model.
        ValueError: The config does not exist.
    """
    state_dict = read_state_dict(source, unsafe, _ALBEF_REMEDY)
    require_groups(state_dict, _ALBEF_GROUPS, source, 'an ALBEF checkpoint')
    model = read_config(config).model
    return write_converted(state_dict, albef_names(state_dict), model, source, out, _ALBEF_LEFT_OUT)
