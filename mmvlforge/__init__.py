"""MMVLForge: vision-language forensics and retrieval on OpenMMLab.

>>> from mmvlforge import ManipulationInferencer
>>> check = ManipulationInferencer('work_dirs/quickstart/model')
>>> check(('picture.jpg', 'its caption'))['predictions'][0]['verdict']  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from mmengine.config.utils import MODULE2PACKAGE

from mmvlforge.version import __version__

if TYPE_CHECKING:
    from mmvlforge.apis import ManipulationInferencer, ProofreadInferencer, RetrievalInferencer

__all__ = ['ManipulationInferencer', 'ProofreadInferencer', 'RetrievalInferencer', '__version__']

# MMEngine finds configs by name, `mmvlforge::dgm4/dca_imq.py`, only of the packages in its own list.
MODULE2PACKAGE.setdefault('mmvlforge', 'mmvlforge')


def __getattr__(name: str) -> Any:
    # Loaded at first use: importing the package imports no torch.
    if name in __all__:
        from mmvlforge import apis

        return getattr(apis, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
