"""What the tests of the lab share."""

import os
import pathlib
import sys

import pytest

LAB_FOLDER = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(LAB_FOLDER))

from lab.cli import DEFAULT_PROGRAMS, PROGRAMS  # noqa: E402 (needs the path above)


@pytest.fixture(scope="session")
def programs() -> pathlib.Path:
    """The folder of the real programs; a test that needs them cannot pass without."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = pathlib.Path(os.environ.get("VXMESH_BIN_DIR", DEFAULT_PROGRAMS))
    for program in PROGRAMS:
        assert (folder / program).is_file(), f"{program} is not in {folder}: run ci/build first"
    return folder
