"""Encode pictures once, before the first epoch."""

import json
from collections.abc import Iterator

import numpy as np
import torch
from mmcv.transforms import RandomFlip
from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from torch.utils.data import DataLoader, Dataset

from mmvlforge.datasets.feature_cache import FeatureCache
from mmvlforge.datasets.nested_datasets import nested_datasets
from mmvlforge.datasets.transforms import FlipWithCaptions, ForEachImage, LoadImageFeatures
from mmvlforge.manifest import text_fingerprint, weights_fingerprint
from mmvlforge.registry import HOOKS
from mmvlforge.structures import VLInputs

_TRIES = 20  # a flip that is drawn for every second picture is missed once in a million times


@HOOKS.register_module()
class FeatureCacheHook(Hook):
    """Fill the folders that LoadImageFeatures reads in the pipelines of a run, where they are not full yet.

    A folder belongs to the weights of the encoder, to how its pictures are prepared, and to the pictures: it carries
    fingerprints of all, and one with others is refused. An interrupted run goes on where it stopped. Data sets that are
    read together may share a folder.

    Args:
        encoder: The frozen image encoder, as a path inside the model; it returns tokens ``(B, T, C)``, and hands on
            those that it is given.
        batch_size: Pictures that are encoded together.
        dtype: Type in which tokens are kept; float16 keeps 11 bits of each value.
        num_workers: Processes that read pictures.
    """

    def __init__(
        self,
        encoder: str = 'image_encoder.stem',
        batch_size: int = 4,
        dtype: str = 'float16',
        num_workers: int = 0,
    ) -> None:
        self.encoder = encoder
        self.batch_size = batch_size
        self.dtype = np.dtype(dtype)
        self.num_workers = num_workers

    def before_train(self, runner) -> None:
        """Fill those of training and validation; weights are loaded by now."""
        loaders = [runner.train_dataloader]
        if runner.val_loop is not None:
            loaders.append(runner.val_dataloader)
        self._fill(runner, loaders)

    def before_val(self, runner) -> None:
        """Fill that of a validation without training."""
        self._fill(runner, [runner.val_dataloader])

    def before_test(self, runner) -> None:
        """Fill that of the test."""
        self._fill(runner, [runner.test_dataloader])

    def _fill(self, runner, loaders: list) -> None:
        model = getattr(runner.model, 'module', runner.model)
        # Data sets whose pipelines name one folder share it.
        of_folder: dict[str, tuple[LoadImageFeatures, dict[str, None]]] = {}
        for dataset in (d for loader in loaders for d in nested_datasets(loader.dataset, 'pipeline')):
            found = _features_transform(dataset)
            if found is None:
                continue
            first, pictures = of_folder.setdefault(found.folder, (found, {}))
            if first.transforms != found.transforms:
                raise ValueError(f'FeatureCacheHook: two pipelines read {found.folder} and prepare pictures otherwise')
            pictures.update(dict.fromkeys(path for i in range(len(dataset)) for path in _whole(dataset, i)))
        for load, pictures in of_folder.values():
            encoder = model.get_submodule(self.encoder)
            if any(parameter.requires_grad for parameter in encoder.parameters()):
                raise ValueError(
                    f'FeatureCacheHook: {self.encoder} of the model is trained: set frozen=True in its config'
                )
            if is_main_process():
                self.fill(load, list(pictures), model, runner.logger)
            barrier()

    def fill(self, load: LoadImageFeatures, pictures: list[str], model, logger) -> FeatureCache:
        """Encode the pictures that are missing.

        Args:
            load: Names the folder, and how pictures are prepared.
            pictures: Their files.
            model: Has the encoder, and the data preprocessor that normalises pictures.
            logger: Told how far it is.

        Raises:
            ValueError: The folder holds others, a picture cannot be read, or chance has a part in preparing it.
        """
        encoder, preprocessor = model.get_submodule(self.encoder), model.data_preprocessor
        norm = [preprocessor.mean.flatten().tolist(), preprocessor.std.flatten().tolist()]
        key = dict(
            weights=weights_fingerprint(encoder.state_dict()),
            preprocessing=text_fingerprint(json.dumps([load.transforms, norm, self.dtype.name], sort_keys=True)),
        )
        if pictures:
            first = load.picture(pictures[0])
            if not all(np.array_equal(first, load.picture(pictures[0])) for _ in range(_TRIES)):
                raise ValueError(
                    f'{load.folder}: a transform of LoadImageFeatures changes pictures at random, but they are encoded '
                    'once; leave it out'
                )
        cache = FeatureCache.begin(load.folder, key, pictures)
        start = cache.done
        if start < len(pictures):
            logger.info(f'{load.folder}: encoding {len(pictures) - start} of {len(pictures)} pictures, once')
        loader = DataLoader(
            _Pictures(load, pictures[start:]),
            self.batch_size,
            num_workers=self.num_workers,
            generator=torch.Generator(),  # else chance would go on otherwise than where the folder is full
        )
        encoder.eval()
        for number, images in enumerate(loader):
            words = torch.zeros(0, 0, dtype=torch.bool)
            batch = dict(inputs=VLInputs(images, words.long(), words, words), targets=None, data_samples=None)
            with torch.no_grad():
                tokens = encoder(preprocessor(batch)['inputs'])
            cache.add(tokens.float().cpu().numpy().astype(self.dtype))
            if number % 100 == 99:
                logger.info(f'{load.folder}: {cache.done} of {len(pictures)} pictures encoded')
        return cache


class _Pictures(Dataset):
    """Pictures as the encoder reads them, uint8 ``(3, H, W)`` BGR."""

    def __init__(self, load: LoadImageFeatures, paths: list[str]) -> None:
        self.load, self.paths = load, paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.load.picture(self.paths[index]).transpose(2, 0, 1).copy())


def _features_transform(dataset) -> LoadImageFeatures | None:
    """The transform of a pipeline that reads features. Raises ValueError if one after it means pictures."""
    found = None
    for transform in dataset.pipeline.transforms:
        if found is not None and isinstance(transform, (FlipWithCaptions, ForEachImage, RandomFlip)):
            raise ValueError(
                f'{type(transform).__name__} after LoadImageFeatures: pictures are encoded once, they cannot be '
                'changed any more; leave it out, or read the pictures themselves'
            )
        if isinstance(transform, LoadImageFeatures):
            found = transform
    return found


def _whole(dataset, index: int) -> Iterator[str]:
    info = dataset.get_data_info(index)
    if 'img_path' in info:  # a pair, whose box is what was forged
        yield info['img_path']
        return
    if info['box']:
        raise ValueError(f'{dataset.ann_file}, record {info["row"]}: features of a part of a picture are not kept')
    yield from info['img_paths']
