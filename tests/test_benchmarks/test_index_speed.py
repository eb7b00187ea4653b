"""The benchmark of an index runs at tiny size."""

import index_speed


def test_building_and_searching_are_timed(retriever, capsys):
    args = [str(retriever), '--model', str(retriever), '--entries', '50', '--rounds', '1', '--stores', 'exact']
    assert index_speed.main(args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ['bare', 'model'] and lines[1].split()[-1] == '1.00'
    assert [line.split()[:2] for line in lines[2:4]] == [['exact', '0'], ['exact', '1']]
    assert lines[6].split()[:2] == ['exact', '50'] and lines[-1].startswith('most memory')
