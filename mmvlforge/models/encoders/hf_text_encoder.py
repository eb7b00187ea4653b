"""BERT-like text encoder from Hugging Face."""

from mmengine.model import BaseModule, initialize
from torch import Tensor
from transformers import AutoConfig, AutoModel

from mmvlforge.models.weights.key_maps import hf_text_names
from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs


@MODELS.register_module()
class HFTextEncoder(BaseModule):
    """E_t of Eq. 1: RoBERTa or BERT through transformers, without the pooler, attention through SDPA.

    Args:
        config: Fields of the model's Hugging Face config, ``model_type`` among them. Nothing is fetched; weights
            come through ``init_cfg`` or a checkpoint.
        with_cp: Gradient checkpointing of every layer.
        init_cfg: How to start, for example ``dict(type='HFPretrained', folder=...)``. Without it, Hugging Face's
            random initialisation stays.

    Raises:
        ValueError: ``config`` has no ``model_type``.
    """

    hf_names = staticmethod(hf_text_names)

    def __init__(self, config: dict, with_cp: bool = False, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if 'model_type' not in config:
            raise ValueError(f"config needs 'model_type' (such as 'roberta' or 'bert'), got only {sorted(config)}")
        self.model = AutoModel.from_config(
            AutoConfig.for_model(**config),
            add_pooling_layer=False,
            attn_implementation='sdpa',
            trust_remote_code=False,
        )
        if with_cp:
            self.model.gradient_checkpointing_enable(dict(use_reentrant=False))

    @property
    def hf_config(self) -> dict:
        """The fields by which Hugging Face describes this model."""
        return self.model.config.to_dict()

    def init_weights(self) -> None:
        """Load ``init_cfg``; the random initialisation is Hugging Face's own, done at construction."""
        if self.init_cfg:
            initialize(self, self.init_cfg)
        self._is_init = True

    def forward(self, inputs: VLInputs) -> Tensor:
        """Encode ``inputs.input_ids`` to ``(B, L, C)``."""
        # RoBERTa numbers positions by where its own padding id stands.
        ids = inputs.input_ids.masked_fill(~inputs.attention_mask, self.model.config.pad_token_id)
        # With a mask of shape (B, L) transformers looks whether all of it is True: an accelerator waits for the host.
        return self.model(input_ids=ids, attention_mask=inputs.attention_mask[:, None]).last_hidden_state
