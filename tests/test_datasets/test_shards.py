"""Damaged tar shards: what is whole is read, what is lost is told."""

import gzip
import io
import tarfile

import pytest

from mmvlforge.datasets.shards import read_shard

NAMES = [f'{folder}{i:04d}.{ending}' for i, folder in enumerate(['', 'a.b/', '']) for ending in ('jpg', 'txt', 'json')]
CONTENT = {name: f'{name} '.encode() * (5 + 60 * number) for number, name in enumerate(NAMES)}


def tar_of(content=CONTENT, **settings):
    """Bytes of a tar with these files, and the place of each header."""
    buffer, places = io.BytesIO(), {}
    with tarfile.open(fileobj=buffer, mode='w', **settings) as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            places[name] = tar.offset
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue(), places


@pytest.fixture
def read(tmp_path):
    def run(data):
        (tmp_path / 'x.tar').write_bytes(data)
        samples = list(read_shard(str(tmp_path / 'x.tar')))
        files = {f'{s.key}.{ending}': content for s in samples for ending, content in s.files.items()}
        assert len(files) == sum(len(s.files) for s in samples)
        return files, [f'{s.place}: {s.problem}' for s in samples if s.problem]

    return run


@pytest.mark.parametrize('settings', [{}, dict(format=tarfile.GNU_FORMAT), dict(format=tarfile.USTAR_FORMAT)])
def test_whole_shards(read, settings):
    assert read(tar_of(**settings)[0]) == (CONTENT, [])
    assert read(gzip.compress(tar_of(**settings)[0])) == (CONTENT, [])


def test_samples(tmp_path):
    content = {
        'a.JPG': b'1',
        'a.txt': b'2',
        'b/c.x.png': b'3',
        'a.json': b'4',
        '__x__/a.txt': b'5',
        '.d': b'6',
        'e': b'7',
    }
    (tmp_path / 'x.tar').write_bytes(tar_of(content)[0])
    url = str(tmp_path / 'x.tar')
    assert list(read_shard(url)) == [
        (f'{url}, sample a', 'a', dict(jpg=b'1', txt=b'2'), ''),
        (f'{url}, sample b/c', 'b/c', {'x.png': b'3'}, ''),
        (f'{url}, sample a', 'a', dict(json=b'4'), ''),
    ]


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('bit', [0, 1000, 1300])
def test_one_bit_of_a_header_costs_one_file(read, name, bit):
    """tarfile took it for the end, and every sample behind it was gone without a word."""
    data, places = tar_of()
    data = bytearray(data)
    data[places[name] + bit // 8] ^= 1 << bit % 8
    files, problems = read(data)
    assert files == {n: c for n, c in CONTENT.items() if n != name}
    blocks = 1 + -(-len(CONTENT[name]) // 512)
    (problem,) = problems
    assert f'x.tar, byte {places[name]}' in problem and problem.endswith(
        f': {blocks} blocks where a header should be: damaged'
    )


def test_a_damaged_mark_of_the_end_costs_nothing(read):
    data = bytearray(tar_of()[0])
    data[-5] ^= 1
    files, (problem,) = read(data)
    assert files == CONTENT and '1 blocks where a header should be: damaged' in problem


def test_shards_that_are_cut_off(read):
    """At every block and within blocks; in the zeros behind the first block of the end nothing is missing."""
    data, places = tar_of()
    end = places[NAMES[-1]] + 512 * (1 + -(-len(CONTENT[NAMES[-1]]) // 512))
    for length in sorted({*range(0, end + 512, 512), *range(100, end, 1111), end + 1}):
        with pytest.raises(ValueError, match=r'shard cannot be read: .*x\.tar, byte \d+') as error:
            read(data[:length])
        assert len(str(error.value).splitlines()) == 1
    assert read(data[: end + 512]) == (CONTENT, [])


def test_shards_put_together(read):
    """With cat, as people do; tarfile stops behind the first."""
    more = {f'z{name}': data for name, data in CONTENT.items() if '/' not in name}
    assert read(tar_of()[0] + tar_of(more)[0]) == ({**CONTENT, **more}, [])


def test_long_names_and_names_that_are_no_text(read):
    content = {f'{"x" * 200}.jpg': b'1', '\udcff.txt': b'2'}
    for settings in (dict(format=tarfile.GNU_FORMAT), dict(format=tarfile.PAX_FORMAT)):
        files, problems = read(tar_of(content, **settings)[0])
        assert list(files) == [f'{"x" * 200}.jpg', '\\xff.txt'] and not problems


def test_a_file_twice_spoils_its_sample(tmp_path):
    data = tar_of({'a.jpg': b'1', 'a.JPG': b'2', 'a.txt': b'3', 'b.jpg': b'4'})[0]
    (tmp_path / 'x.tar').write_bytes(data)
    assert [s.problem for s in read_shard(str(tmp_path / 'x.tar'))] == ['has two files jpg', '']


@pytest.mark.parametrize('data', [b'<html></html>' * 500, b'<html>', b'', gzip.compress(tar_of()[0])[:-200]])
def test_what_is_no_tar(read, data):
    with pytest.raises(ValueError, match=r'shard cannot be read: .*x\.tar, '):
        read(data)
