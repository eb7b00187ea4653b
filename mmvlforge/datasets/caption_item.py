"""One item of a caption data set, before its pipeline."""

import hashlib
import os.path as osp
from collections.abc import Sequence


def caption_item(
    index: int, row, images: Sequence[str], captions: Sequence[str], box: tuple | None, prefix: str = '', **extras
) -> dict:
    """A group of pictures and captions.

    ``image_id`` is a number made from the first picture's path and the box: the same in every set, process and run,
    without a table of all paths. Two pictures of a million million pairs would share one by chance.

    Args:
        index: Number of the item in its set.
        row: Where it stands in the annotation file.
        images: Paths of the F pictures, relative to ``prefix``.
        captions: The K captions.
        box: Part of the picture that is meant, xywh in pixels of the stored picture, or None.
        prefix: Picture folder.
        **extras: What the set's metric needs.
    """
    paths = [osp.join(prefix, image) for image in images]
    name = f'{paths[0]} {box}'.encode(errors='surrogatepass')  # Linux has file names that are no text
    digest = hashlib.blake2b(name, digest_size=8).digest()
    image_id = int.from_bytes(digest, 'little') >> 1  # int64 has a sign
    return dict(index=index, row=row, img_paths=paths, captions=list(captions), image_id=image_id, box=box, **extras)
