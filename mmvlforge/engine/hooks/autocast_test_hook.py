"""bfloat16 tests on any device."""

import torch
from mmengine.hooks import Hook

from mmvlforge.registry import HOOKS


@HOOKS.register_module()
class AutocastTestHook(Hook):
    """Test under autocast to bfloat16, as :class:`AutocastOptimWrapper` trains.

    MMEngine's ``test_cfg.fp16`` takes float16 on a GPU, which overflows where bfloat16 does not.
    """

    def before_test(self, runner) -> None:
        """Put autocast around the model's step: MMEngine's loop switches off what stands around itself."""
        model = runner.model
        device = next(model.parameters()).device.type
        model.test_step = torch.autocast(device, dtype=torch.bfloat16)(model.test_step)
