"""Draw test samples while a model is tested."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook

from mmvlforge.datasets.nested_datasets import picture_loader
from mmvlforge.evaluation.samples import prediction_error
from mmvlforge.registry import HOOKS
from mmvlforge.structures import VLDataSample
from mmvlforge.visualization import ManipulationVisualizer, blank_picture, load_picture


@HOOKS.register_module()
class ManipulationVisualizationHook(Hook):
    """Write one picture for each tested sample, or for the worst of them.

    A file is named ``<row of the annotation file>_<picture's own name>.jpg``. Each process draws its own samples; the
    worst are chosen over all processes and drawn by the first.

    Args:
        show_dir: Folder for the pictures. Default: ``pictures`` in the run's log folder.
        worst: If given, keep only so many samples, those with the largest
            :func:`mmvlforge.evaluation.samples.prediction_error`, and draw them after the last batch. Default: None.
        max_samples: If given, stop after so many pictures a process. Not together with ``worst``. Default: None.

    Raises:
        ValueError: A number is below 1, both numbers are given, or the config's visualizer cannot draw samples.
    """

    def __init__(self, show_dir: str | None = None, worst: int | None = None, max_samples: int | None = None) -> None:
        for name, value in (('worst', worst), ('max_samples', max_samples)):
            if value is not None and value < 1:
                raise ValueError(f'{name} must be at least 1, or None for no limit, got {value}')
        if worst is not None and max_samples is not None:
            raise ValueError(f'give either worst ({worst}) or max_samples ({max_samples}), not both')
        self.show_dir = show_dir
        self.worst = worst
        self.max_samples = max_samples
        self._kept: list[VLDataSample] = []
        self._drawn = 0

    def before_test_epoch(self, runner) -> None:
        """Check that the visualizer can draw, before the time of a test is spent."""
        if not isinstance(runner.visualizer, ManipulationVisualizer):
            raise ValueError(
                f'the visualizer is a {type(runner.visualizer).__name__}, which draws no image-text pairs; '
                "set visualizer = dict(type='ManipulationVisualizer') in the config"
            )
        self._kept, self._drawn = [], 0

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs: Sequence[VLDataSample] = ()) -> None:
        """Draw the samples of one batch, or remember the worst so far."""
        if self.worst is not None:
            self._kept = self._worst([*self._kept, *outputs])
            return
        for sample in outputs:
            if self.max_samples is not None and self._drawn >= self.max_samples:
                return
            self._draw(runner, sample)
            self._drawn += 1

    def after_test_epoch(self, runner, metrics=None) -> None:
        """Draw the worst samples of all processes."""
        if self.worst is not None:
            gathered = all_gather_object(self._kept)
            if is_main_process():
                for sample in self._worst([sample for kept in gathered for sample in kept]):
                    self._draw(runner, sample)
            self._kept = []

    def _worst(self, samples: Sequence[VLDataSample]) -> list[VLDataSample]:
        # A distributed sampler repeats samples to fill the last batch: one of each row.
        rows = {sample.index: sample for sample in samples}
        return sorted(rows.values(), key=lambda sample: (-prediction_error(sample), sample.index))[: self.worst]

    def _draw(self, runner, sample: VLDataSample) -> None:
        meta = sample.metainfo
        image = blank_picture()
        if 'ori_shape' in meta:  # data without pictures may still name them; only a loaded one has a size
            loader = picture_loader(runner.test_dataloader.dataset)
            image = load_picture(meta['img_path'], meta.get('orientation', loader.orientation), loader.max_pixels)
        name = f'{meta["index"]:06d}_{Path(meta.get("img_path", "text")).stem}'
        folder = Path(self.show_dir) if self.show_dir else Path(runner.log_dir, 'pictures')
        runner.visualizer.add_datasample(name, image, sample, out_file=str(folder / f'{name}.jpg'))
