"""The metadata stand in pyproject.toml; here configs become part of the package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithConfigs(build_py):
    """Puts configs and model index into ``mmvlforge/.mim``, where MMEngine looks for ``mmvlforge::dgm4/dca_imq.py``.

    A wheel gets copies; the source tree of an editable install gets links, so that an edited config counts at once.
    """

    def run(self) -> None:
        """Build the Python files, then add the folder."""
        super().run()
        mim = (ROOT if self.editable_mode else Path(self.build_lib)) / 'mmvlforge/.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for source in (ROOT / 'configs', ROOT / 'model-index.yml'):
            if self.editable_mode:
                (mim / source.name).symlink_to(Path('../..', source.name))
            elif source.is_dir():
                shutil.copytree(source, mim / source.name, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy2(source, mim)


setup(cmdclass=dict(build_py=BuildWithConfigs))
