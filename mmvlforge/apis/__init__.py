"""The one door for people: the command line, pages, tools and notebooks go through here.

Modules load at first use, so that importing this package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmvlforge.apis.manipulation import ManipulationInferencer
    from mmvlforge.apis.proofreading import ProofreadInferencer
    from mmvlforge.apis.retrieval import RetrievalInferencer

__all__ = ['ManipulationInferencer', 'ProofreadInferencer', 'RetrievalInferencer']

_HOMES = dict(
    ManipulationInferencer='manipulation', ProofreadInferencer='proofreading', RetrievalInferencer='retrieval'
)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f'mmvlforge.apis.{_HOMES[name]}'), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
