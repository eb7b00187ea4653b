"""Means over the batch of all processes."""

from mmengine.dist import all_reduce, get_world_size
from torch import Tensor


def global_mean(values: Tensor, counted: Tensor) -> Tensor:
    """This process's share of a mean over all processes: averaged over them, as their gradients are, it is the mean.

    A mean within each process weighs a row by how many its own process has, so that the same rows teach something else
    on another number of processes.

    Args:
        values: ``(...)``, finite where they are not counted too.
        counted: Which of them count, bool of the same shape. The mean over nothing is 0.
    """
    total = counted.sum(dtype=values.dtype)
    all_reduce(total, 'mean')
    return (counted * values).sum() / total.clamp(min=1 / get_world_size())
