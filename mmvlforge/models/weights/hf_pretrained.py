"""Start a text encoder from a Hugging Face folder."""

from pathlib import Path

from torch import nn

from mmvlforge.models.weights.conversion import load_into
from mmvlforge.models.weights.reading import read_hf_weights, read_json
from mmvlforge.registry import WEIGHT_INITIALIZERS

# What changes the outputs. Half of it would load without a word, all shapes being right.
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


@WEIGHT_INITIALIZERS.register_module()
class HFPretrained:
    """Load a RoBERTa or BERT folder (``config.json`` and weights) into HFTextEncoder or BertTextEncoder.

    Heads and the pooler are left out.

    Args:
        folder: Local folder, as ``save_pretrained`` or a download of the hub makes it.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, module: nn.Module) -> None:
        """Load into ``module``.

        Raises:
            ValueError: A file is missing or unreadable, the folder's model is another one than ``module``, a shape
                does not fit, or no key does.
        """
        theirs = read_json(Path(self.folder).expanduser() / 'config.json')
        ours = module.hf_config
        differ = [f for f in _FIELDS if f in theirs and theirs[f] != ours.get(f)]
        if differ:
            rows = '; '.join(f'{f} is {theirs[f]!r} in the folder, {ours.get(f)!r} in the config' for f in differ)
            raise ValueError(f'{self.folder}: not the model of the config: {rows}')
        state_dict = read_hf_weights(self.folder)
        load_into(module, state_dict, module.hf_names(state_dict), str(self.folder))
