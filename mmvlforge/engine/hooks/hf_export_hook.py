"""A trained model as a Hugging Face folder."""

from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmvlforge.registry import HOOKS


@HOOKS.register_module()
class HFExportHook(Hook):
    """Write the trained model to a folder ``hf`` in the work directory, where other configs look for it.

    The model has a method ``export(folder)``, as ``MaskedLanguageModel`` does.
    """

    @master_only
    def after_train(self, runner) -> None:
        """Export the model."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.export(Path(runner.work_dir) / 'hf')
