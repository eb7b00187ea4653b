"""Readers of caption annotations: each format of public image-text sets as one stream of uniform records."""

import csv
import hashlib
import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

from pycocotools.coco import COCO

from mmvlforge.annotations.annotation_file import check_exists, read_annotations
from mmvlforge.annotations.caption_text import clean_caption
from mmvlforge.annotations.json_files import (
    decoded_lines,
    iter_json_array,
    parse_json,
    read_json,
    read_json_object,
    read_text,
)
from mmvlforge.annotations.values import is_pixel, one_line, text_fault

__all__ = ['READERS', 'CaptionRecord', 'guess_reader', 'read_captions']


class CaptionRecord(NamedTuple):
    """One group of pictures and captions.

    Attributes:
        row: Where in the file: a number from 0, or a name.
        images: Paths of the pictures, relative to the picture folder.
        captions: The captions as written; web sets have empty ones, and a picture to be found may have none.
        box: Part of the picture that is meant, ``(x, y, width, height)`` in pixels of the stored picture, or None.
        extras: What the set's metric needs, by name; ``faces``, if the file says where faces are: ``(x1, y1, x2, y2)``
            each, in pixels of the stored picture.
    """

    row: int | str
    images: tuple[str, ...]
    captions: tuple[str, ...]
    box: tuple[float, float, float, float] | None = None
    extras: Mapping[str, str | int | tuple] = {}


class _Row:
    """One object of a file, whose fields are taken with their type checked."""

    def __init__(self, path: str, row: int | str, fields: Any) -> None:
        self.path, self.row, self.fields = path, row, fields
        if not isinstance(fields, dict):
            raise ValueError(f'{path}, record {row}: {fields!r:.80} must be a JSON object')

    def error(self, field: str, what: str) -> ValueError:
        return ValueError(f"{self.path}, record {self.row}, field '{field}': {what}")

    def take(self, field: str, kind: type | tuple[type, ...], what: str) -> Any:
        if field not in self.fields:
            raise self.error(field, f'is missing; the record has {sorted(self.fields)!s:.200}')
        value = self.fields[field]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.error(field, f'{value!r:.80} must be {what}')
        return value

    def text(self, field: str) -> str:
        value = self.take(field, str, 'a string with some text')
        if not value.strip():
            raise self.error(field, f'{value!r} must be a string with some text')
        return value

    def caption(self, field: str) -> str:
        return self.take(field, str, 'a string')

    def captions(self, field: str) -> tuple[str, ...]:
        """One caption, or a list of them."""
        value = self.take(field, (str, list), 'a string or a list of strings')
        if isinstance(value, str):
            return (value,)
        if not value or not all(isinstance(v, str) for v in value):
            raise self.error(field, f'{value!r:.80} must be a string or a list of strings')
        return tuple(value)

    def rows(self, field: str) -> Iterator['_Row']:
        for number, value in enumerate(self.take(field, list, 'a list of objects')):
            yield _Row(self.path, f"{self.row}, '{field}' {number}", value)

    def box(self, *fields: str) -> tuple[float, float, float, float]:
        """From four fields, or from one with four numbers."""
        if len(fields) == 1:
            values = self.take(fields[0], list, 'a list [x, y, width, height]')
        else:
            values = [self.take(field, (int, float), 'a number') for field in fields]
        if len(values) != 4 or not all(type(v) in (int, float) for v in values):
            raise self.error(fields[0], f'{values!r:.80} must be four numbers x, y, width, height')
        return tuple(values)

    def faces(self, field: str | None) -> dict[str, tuple]:
        """Extras with the faces of a field, a list or the JSON text of one; none if no field is named."""
        if field is None:
            return {}
        value = self.take(field, (str, list), 'a list of faces [x1, y1, x2, y2]')
        boxes = value
        if isinstance(value, str):
            boxes = parse_json(value.strip() or '[]', f"{self.path}, record {self.row}, field '{field}'")
        sound = isinstance(boxes, list) and all(
            isinstance(box, list) and len(box) == 4 and all(map(is_pixel, box)) and box[0] < box[2] and box[1] < box[3]
            for box in boxes
        )
        if not sound:
            raise self.error(
                field, f'{value!r:.80} must be a list of faces [x1, y1, x2, y2] in pixels, x1 < x2, y1 < y2'
            )
        return dict(faces=tuple(map(tuple, boxes)))


def _object(path: str) -> _Row:
    return _Row(path, 'of the whole file', read_json(path))


def _array(path: str) -> Iterator[_Row]:
    for row, value in enumerate(iter_json_array(read_text(path), path)):
        if isinstance(value, ValueError):
            raise value
        yield _Row(path, row, value)


def _csv(path: str) -> Iterator[_Row]:
    """Rows of a csv file with a header, each in a line of its own: a quote left open would swallow what follows."""
    with open(path, encoding='utf-8-sig', newline='') as file:  # spreadsheets write a byte order mark
        lines = csv.reader(decoded_lines(file, path), strict=True)
        before = 0
        try:
            columns = next(lines, [])
            if len(set(columns)) < len(columns):
                raise ValueError(f'{path}:1: a column stands twice in the header {columns!s:.200}')
            before, row = lines.line_num, 0
            for values in lines:
                where, runs_on = f'{path}:{before + 1}', lines.line_num > before + 1
                before = lines.line_num
                if runs_on:
                    raise ValueError(f'{where}: a text runs on to line {before}; is its quote not closed?')
                if not values:
                    continue
                if len(values) > len(columns):
                    surplus = f'{values[len(columns) :]!s:.80} beyond the last column'
                    raise ValueError(f'{where}, record {row}: {surplus}; quote commas of a text')
                yield _Row(where, row, dict(zip(columns, values)))
                row += 1
            if not row:
                raise ValueError(f'{path}: no line follows the first one, the header: {columns!s:.200}')
        except csv.Error as error:
            hint = ', a quote is not closed' if 'unexpected end' in str(error) else ''
            raise ValueError(f'{path}:{before + 1}: broken CSV: {error}{hint}') from error


def _format(path: str, template: str, names: Mapping[str, Any], setting: str = 'file_name') -> str:
    try:
        return template.format(**names)
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f'{path}: {setting} {template!r} must be made of {sorted(names)}: {error!r}') from error


def _url_file(path: str, row: int, url: str, file_name: str) -> str:
    """The local file of a web picture; see :func:`read_url_table`."""
    encoded = url.encode(errors='surrogatepass')
    names = dict(
        row=row,
        basename=url.split('?', 1)[0].rpartition('/')[2],
        md5=hashlib.md5(encoded, usedforsecurity=False).hexdigest(),
        crc32=zlib.crc32(encoded),
    )
    return _format(path, file_name, names)


def _of_list(path: str, records: Iterable[CaptionRecord], images: str | None) -> Iterator[CaptionRecord]:
    """One record a picture, whose captions may stand anywhere in the file; of a split's pictures if a list is named.

    Args:
        path: The annotation file.
        records: One picture and one caption each.
        images: File beside the annotation file with the names of the wanted pictures, one a line; None takes all.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: It names a picture twice, or one that has no caption.
    """
    wanted: dict[str, int] | None = None
    if images is not None:
        names = Path(path).with_name(images)
        check_exists(names)
        wanted = {}
        for number, line in enumerate(read_text(names).split('\n'), 1):
            if name := line.strip():
                if name in wanted:
                    raise ValueError(f'{names}:{number}: {name!r:.80} stands there twice, first in line {wanted[name]}')
                wanted[name] = number
    found: dict[str, list[CaptionRecord]] = {}
    for record in records:
        if wanted is None or record.images[0] in wanted:
            found.setdefault(record.images[0], []).append(record)
    for name, number in (wanted or {}).items():
        if name not in found:
            raise ValueError(f'{names}:{number}: {path} has no caption of {name!r:.80}')
    for group in found.values():
        yield group[0]._replace(captions=tuple(record.captions[0] for record in group))


def read_karpathy(path: str, split: str) -> Iterator[CaptionRecord]:
    """``dataset_coco.json`` and ``dataset_flickr30k.json`` of Karpathy's splits, one record an image.

    Args:
        path: The file, ``images[]: {filename, split, sentences[]: {raw}}``, COCO's with ``filepath``.
        split: ``'train'`` (with COCO's ``'restval'``), ``'val'`` or ``'test'``.
    """
    if split not in ('train', 'val', 'test'):
        raise ValueError(f"split of a Karpathy file must be 'train', 'val' or 'test', got {split!r}")
    wanted = ('train', 'restval') if split == 'train' else (split,)
    for number, image in enumerate(_object(path).rows('images')):
        image.row = number
        if image.text('split') in wanted:
            folder = image.text('filepath') + '/' if 'filepath' in image.fields else ''
            captions = tuple(sentence.caption('raw') for sentence in image.rows('sentences'))
            if not captions:
                raise image.error('sentences', 'is empty')
            yield CaptionRecord(number, (folder + image.text('filename'),), captions)


def read_coco(path: str) -> Iterator[CaptionRecord]:
    """COCO's own ``captions_val2017.json`` and the like, put together by ``pycocotools``; one record an image.

    Args:
        path: The file, ``images[]: {id, file_name}`` and ``annotations[]: {id, image_id, caption}``. An image without
            captions is one to be encoded and found.
    """
    table = _object(path)
    known: set[int] = set()
    for image in table.rows('images'):
        number = image.take('id', int, 'a number')
        image.text('file_name')
        if number in known:  # the later one would win unseen
            raise image.error('id', f'{number} is that of an image before it, too')
        known.add(number)
    for annotation in table.rows('annotations'):
        annotation.take('id', int, 'a number')
        annotation.caption('caption')
        if annotation.take('image_id', int, 'a number') not in known:
            raise annotation.error('image_id', f'{annotation.fields["image_id"]} is the id of no image')
    coco = COCO()
    # Not COCO(path), which reads what our reader of JSON refuses; no categories: captions have none, some files do.
    coco.dataset = {field: table.fields[field] for field in ('images', 'annotations')}
    with redirect_stdout(io.StringIO()):
        coco.createIndex()
    for row, (number, image) in enumerate(coco.imgs.items()):
        captions = tuple(annotation['caption'] for annotation in coco.imgToAnns.get(number, ()))
        yield CaptionRecord(row, (image['file_name'],), captions)


def read_flickr8k(path: str, images: str | None = None) -> Iterator[CaptionRecord]:
    """Flickr8k in its original form (Hodosh et al., JAIR 2013), and Flickr30k's ``results_20130124.token``.

    Args:
        path: ``Flickr8k.token.txt``, a caption a line: ``<picture>#<number>``, a tab, the caption.
        images: The split: its list beside that file, such as ``Flickr_8k.trainImages.txt``; None takes all pictures,
            with one that was never part of the set (``2258277193_586949ec62.jpg.1``) and so lacks its file.
    """
    yield from _of_list(path, _flickr8k_lines(path), images)


def _flickr8k_lines(path: str) -> Iterator[CaptionRecord]:
    with open(path, encoding='utf-8-sig', newline='\n') as file:
        for row, line in enumerate(decoded_lines(file, path)):
            found = _FLICKR8K_LINE.fullmatch(line.rstrip('\r\n'))
            if found:
                yield CaptionRecord(row, (found[1],), (found[2],))
            elif line.strip():
                raise ValueError(f"{path}, record {row}: {line!r:.80} must be 'picture.jpg#0', a tab and the caption")


_FLICKR8K_LINE = re.compile(r'([^\t]*[^\t\s][^\t]*)#\d+\t(.*)')


def read_csv(
    path: str,
    image: str = '{image}',
    caption: str = '{caption}',
    images: str | None = None,
    faces: str | None = None,
) -> Iterator[CaptionRecord]:
    """A csv file with a header, a caption a row, such as the ``captions.txt`` in which Flickr8k goes round.

    Args:
        path: The file.
        image: A picture's file name, made of columns, such as ``'{id}.jpg'``. Rows of the same picture are one record.
        caption: The caption, made of columns, such as ``'{name}, senator of {state}'``.
        images: A split: file beside this one with the names of its pictures, one a line; None takes all.
        faces: Column with the faces of a picture, ``[[x1, y1, x2, y2], ...]`` in pixels of the stored picture; the
            first row of a picture counts.
    """
    yield from _of_list(path, _csv_rows(path, image, caption, faces), images)


def _csv_rows(path: str, image: str, caption: str, faces: str | None) -> Iterator[CaptionRecord]:
    for row in _csv(path):
        for setting, template in (('image', image), ('caption', caption)):
            if template in row.fields:  # as it stands it would be the name, or the caption, of every picture
                raise ValueError(f'{path}: {setting} {template!r} is the name of a column: write {{{template}}}')
        name = _format(f'{row.path}, record {row.row}', image, row.fields, 'image')
        if not name.strip():
            raise ValueError(f'{row.path}, record {row.row}: the name of the picture, made of {image!r}, is empty')
        text = _format(f'{row.path}, record {row.row}', caption, row.fields, 'caption')
        yield CaptionRecord(row.row, (name,), (text,), None, row.faces(faces))


def read_albef(path: str, faces: str | None = None) -> Iterator[CaptionRecord]:
    """ALBEF's JSON arrays: ``{image, caption}`` with one caption or a list, and ``bbox`` ``[x, y, w, h]`` to crop.

    An empty list is a picture without captions, to be encoded and found.

    Args:
        path: The file.
        faces: Field with the faces of a picture, ``[[x1, y1, x2, y2], ...]`` in pixels of the stored picture.
    """
    for record in _array(path):
        box = record.box('bbox') if record.fields.get('bbox') is not None else None
        captions = () if record.fields.get('caption') == [] else record.captions('caption')
        yield CaptionRecord(record.row, (record.text('image'),), captions, box, record.faces(faces))


def read_url_table(path: str, file_name: str, columns: Sequence[str] = ('caption', 'url')) -> Iterator[CaptionRecord]:
    """The TSV files of CC3M (``caption, url``) and CC12M (``url, caption``), whose pictures lie in a local folder.

    Args:
        path: The file, without header, a pair a line.
        file_name: How a picture's local file is named, such as ``'{md5}.jpg'``, from ``{row}`` (line number from 0,
            ``{row:09d}`` with leading zeros), ``{basename}`` (last part of the url, up to a ``?``), ``{md5}`` (of the
            url, in hexadecimal digits), ``{crc32}`` (of the url, ``{crc32:08x}`` in hexadecimal digits).
        columns: Order of the two columns.
    """
    if sorted(columns) != ['caption', 'url']:
        raise ValueError(f"columns must be 'caption' and 'url' in either order, got {tuple(columns)}")
    with open(path, encoding='utf-8', newline='\n') as file:
        for row, line in enumerate(decoded_lines(file, path)):
            parts = line.rstrip('\r\n').split('\t')
            if len(parts) != 2:
                raise ValueError(f'{path}, record {row}: {line!r:.80} must be two columns, {columns}')
            record = _Row(path, row, dict(zip(columns, parts)))
            url, caption = record.text('url'), record.caption('caption')
            yield CaptionRecord(row, (_url_file(path, row, url, file_name),), (caption,))


def read_sbu(path: str, file_name: str) -> Iterator[CaptionRecord]:
    """SBU's columns ``{image_urls: [], user_ids: [], captions: []}``; ``file_name`` as in :func:`read_url_table`."""
    table = _object(path)
    urls, captions = (table.take(field, list, 'a list') for field in ('image_urls', 'captions'))
    if len(urls) != len(captions):
        raise table.error('captions', f'has {len(captions)} entries, image_urls has {len(urls)}')
    for row, (url, caption) in enumerate(zip(urls, captions)):
        record = _Row(path, row, dict(image_urls=url, captions=caption))
        url, caption = record.text('image_urls'), record.caption('captions')
        yield CaptionRecord(row, (_url_file(path, row, url, file_name),), (caption,))


def read_visual_genome(path: str, file_name: str = '{image_id}.jpg') -> Iterator[CaptionRecord]:
    """Visual Genome's ``region_descriptions.json``: each region is a picture of its own.

    Args:
        path: The file, ``[{regions: [{image_id, x, y, width, height, phrase}]}]``.
        file_name: A picture's file; the two folders of Visual Genome share no number and can be merged.
    """
    for image in _array(path):
        for region in image.rows('regions'):
            name = _format(path, file_name, dict(image_id=region.take('image_id', int, 'a number')))
            box = region.box('x', 'y', 'width', 'height')
            yield CaptionRecord(region.row, (name,), (region.caption('phrase'),), box)


def read_winoground(path: str, suffix: str = '.png') -> Iterator[CaptionRecord]:
    """Winoground's ``examples.jsonl``: two pictures and two captions, the first of each belonging together.

    Args:
        path: The file, ``{image_0, image_1, caption_0, caption_1, collapsed_tag, num_main_preds}`` a line.
        suffix: What follows ``image_0`` in the picture's file name.
    """
    for row, fields in enumerate(read_annotations(path)):
        record = _Row(path, row, fields)
        extras = dict(tag=record.text('collapsed_tag'), num_main_preds=record.take('num_main_preds', int, 'a number'))
        images = tuple(record.text(f'image_{i}') + suffix for i in (0, 1))
        yield CaptionRecord(row, images, tuple(record.caption(f'caption_{i}') for i in (0, 1)), None, extras)


def read_sugarcrepe(path: str) -> Iterator[CaptionRecord]:
    """SugarCrepe: an image with a true caption and a false one.

    Args:
        path: Folder with one file a category, ``{idx: {filename, caption, negative_caption}}``.
    """
    files = sorted(Path(path).glob('*.json'))
    if not files:
        raise ValueError(f'{path}: no *.json in it; SugarCrepe has one file for each category')
    for file in files:
        table = _object(str(file))
        for key, fields in table.fields.items():
            key = one_line(key[:80])
            record = _Row(str(file), key, fields)
            captions = (record.caption('caption'), record.caption('negative_caption'))
            extras = dict(category=file.stem)
            yield CaptionRecord(f'{key} of {file.name}', (record.text('filename'),), captions, None, extras)


def read_aro(path: str) -> Iterator[CaptionRecord]:
    """ARO's Visual Genome relations and attributes: a region with a true caption and a false one.

    The category is ``relation_name``, or for attributes the two of them, with an underscore between.

    Args:
        path: The file, ``[{image_path, bbox_x, bbox_y, bbox_w, bbox_h, true_caption, false_caption, ...}]``.
    """
    for record in _array(path):
        if 'attributes' in record.fields:
            category = '_'.join(record.captions('attributes'))
        else:
            category = record.text('relation_name')
        captions = (record.caption('true_caption'), record.caption('false_caption'))
        box = record.box('bbox_x', 'bbox_y', 'bbox_w', 'bbox_h')
        yield CaptionRecord(record.row, (record.text('image_path'),), captions, box, dict(category=category))


def read_aro_order(path: str) -> Iterator[CaptionRecord]:
    """ARO's COCO and Flickr30K order: a picture with its caption and the caption's words in other orders.

    A shuffle that gives the caption back is no false caption and left out; of a short caption that may be all.

    Args:
        path: The test cases that ARO's generator keeps in memory, written as they are:
            ``[{image, caption_options: [true, false, ...]}]``.
    """
    for record in _array(path):
        true, *shuffled = record.captions('caption_options')
        if not shuffled:
            raise record.error('caption_options', f'{[true]!r:.80} must be the caption and false ones after it')
        words = clean_caption(true, len(true))
        false = [caption for caption in shuffled if clean_caption(caption, len(caption)) != words]
        yield CaptionRecord(record.row, (record.text('image'),), (true, *false), None, dict(category='order'))


def read_msrvtt(path: str, suffix: str = '.mp4') -> Iterator[CaptionRecord]:
    """The 1k-A test split of MSR-VTT: a video with a sentence.

    Args:
        path: The file, csv with the header ``key,vid_key,video_id,sentence``.
        suffix: What follows ``video_id`` in the video's file name.
    """
    for record in _csv(path):
        yield CaptionRecord(record.row, (record.text('video_id') + suffix,), (record.caption('sentence'),))


READERS: dict[str, Callable[..., Iterator[CaptionRecord]]] = dict(
    albef=read_albef,
    aro=read_aro,
    aro_order=read_aro_order,
    coco=read_coco,
    csv=read_csv,
    flickr8k=read_flickr8k,
    karpathy=read_karpathy,
    msrvtt=read_msrvtt,
    sbu=read_sbu,
    sugarcrepe=read_sugarcrepe,
    url_table=read_url_table,
    visual_genome=read_visual_genome,
    winoground=read_winoground,
)


def guess_reader(path: str | Path) -> str:
    """The format of a caption file that needs no setting, told by its first letters: albef, coco, csv or flickr8k.

    Raises:
        ValueError: It is none of these.
        FileNotFoundError: There is no such file.
    """
    check_exists(path)
    with open(path, encoding='utf-8-sig', errors='replace') as file:
        line = next((line for line in file if line.strip()), '').strip()
    if line.startswith('['):
        return 'albef'
    if line.startswith('{') and 'annotations' in read_json_object(path):
        return 'coco'
    if _FLICKR8K_LINE.fullmatch(line):
        return 'flickr8k'
    columns = next(csv.reader([line]), [])
    if {'image', 'caption'} <= set(columns):
        return 'csv'
    raise ValueError(
        f'{path}: its format cannot be told. A csv has commas and columns image and caption; here the first line has '
        f'{columns!s:.200}. Or name the reader, one of {sorted(READERS)}'
    )


def _fault(record: CaptionRecord) -> str:
    """What makes a record that keeps its format unusable all the same, or ''."""
    texts = [('path', image) for image in record.images] + [('caption', caption) for caption in record.captions]
    texts += [(name, value) for name, value in record.extras.items() if isinstance(value, str)]
    for name, text in texts:
        if fault := text_fault(text):
            return f'{name}: {fault}'
    if record.box is not None and not all(map(is_pixel, record.box)):
        return f'box: {record.box!s:.120} must be finite numbers, pixels of a picture'
    return ''


def read_captions(path: str, type: str, broken: list[str] | None = None, **settings) -> Iterator[CaptionRecord]:
    """Read a file in one of the formats.

    Args:
        path: The file, or SugarCrepe's folder.
        type: Name of the format, a key of ``READERS``.
        broken: If given, a record with NUL or half a surrogate pair in a text, or with a box that is no pixels, does
            not stop the reading: it is left out, and what is wrong with it is appended here.
        **settings: As of that format's reader.

    Raises:
        ValueError: There is no such format, a setting is wrong, or a record breaks the format.
        FileNotFoundError: There is no such file.
    """
    if type not in READERS:
        raise ValueError(f'reader {type!r} is unknown; choose one of {sorted(READERS)}')
    check_exists(path)
    takes = signature(READERS[type])
    try:
        takes.bind(path, **settings)
    except TypeError as error:
        known = ', '.join(list(takes.parameters)[1:]) or 'none'
        raise ValueError(f'reader {type!r}: {error}; its settings are: {known}') from None
    return _sound(path, READERS[type](path, **settings), broken)


def _sound(path: str, records: Iterator[CaptionRecord], broken: list[str] | None) -> Iterator[CaptionRecord]:
    for record in records:
        fault = _fault(record)
        if not fault:
            yield record
            continue
        fault = f'{path}, record {record.row}, {fault}'
        if broken is None:
            raise ValueError(fault)
        broken.append(fault)
