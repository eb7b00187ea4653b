"""What a run was made from, beside its logs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset, IterableDataset

from mmvlforge.annotations.json_files import write_json
from mmvlforge.datasets.nested_datasets import nested_datasets
from mmvlforge.manifest import MANIFEST, described_file, weights_fingerprint
from mmvlforge.registry import HOOKS


@HOOKS.register_module()
class ManifestHook(Hook):
    """Write ``manifest.json`` into the log folder of a run, from its first process.

    What only a run knows is added to it: fingerprints of weights and annotation files, protocol, rule for no box, seed
    and number of processes. Weights that lie in parts on several devices (FSDP, DeepSpeed) have no fingerprint.

    Args:
        manifest: From :func:`mmvlforge.manifest.new_manifest`; it is added to.
    """

    def __init__(self, manifest: dict[str, Any]) -> None:
        self.manifest = manifest

    @master_only
    def before_train(self, runner) -> None:
        """Write what the training starts from."""
        loaders = dict(train=runner.train_dataloader)
        if runner.val_loop is not None:
            loaders['val'] = runner.val_dataloader
            self._tell_rules(runner, runner.val_evaluator)
        start = dict(iteration=runner.iter, start=_fingerprint(runner.model))
        self._tell(runner, loaders, start)

    @master_only
    def after_train(self, runner) -> None:
        """Add what it ended with."""
        self.manifest['weights'].update(end_iteration=runner.iter, end=_fingerprint(runner.model))
        self.write(runner)

    @master_only
    def before_test(self, runner) -> None:
        """Write what is tested on what."""
        self._tell_rules(runner, runner.test_evaluator)
        self._tell(runner, dict(test=runner.test_dataloader), dict(fingerprint=_fingerprint(runner.model)))

    def _tell(self, runner, loaders: dict, weights: dict) -> None:
        self.manifest['weights'] = {**self.manifest.get('weights', {}), **weights}
        self.manifest['data'] = {name: list(_sources(loader.dataset)) for name, loader in loaders.items()}
        self.manifest.update(seed=runner.seed, processes=runner.world_size, logs=str(runner.log_dir))
        self.write(runner)

    def _tell_rules(self, runner, evaluator) -> None:
        owners = dict(protocol=evaluator.metrics, no_box_rule=_bare(runner.model).modules())
        for name, parts in owners.items():
            found = [getattr(part, name) for part in parts if hasattr(part, name)]
            if found:
                self.manifest[name] = found[0]

    def write(self, runner) -> None:
        """Write what is known so far."""
        write_json(Path(runner.log_dir, f'{MANIFEST}.json'), self.manifest)


def _bare(model: Any) -> nn.Module:
    return model.module if is_model_wrapper(model) else model


def _fingerprint(model: nn.Module) -> str | None:
    whole = isinstance(model, DistributedDataParallel) or not is_model_wrapper(model)
    return weights_fingerprint(_bare(model).state_dict()) if whole else None


def _sources(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """Each annotation file, and how many records of it are read; shards have neither a digest nor a number."""
    for part in nested_datasets(dataset, 'ann_file'):
        if isinstance(part, IterableDataset) or not Path(part.ann_file).exists():
            yield dict(file=part.ann_file)
        else:
            yield described_file(part.ann_file, records=len(part))
