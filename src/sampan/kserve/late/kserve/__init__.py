"""`import kserve` by PYTHONPATH, whose folders come first: steps aside for one that is installed.

The folder leaves the import path, the one that holds Sampan's `kserve` joins it at its end, and the
import starts anew.
"""

import sys
from importlib import import_module
from pathlib import Path

_late = Path(__file__).parents[1]
sys.path[:] = [place for place in sys.path if place != str(_late)]
sys.path.append(str(_late.with_name("path")))
del sys.modules["kserve"]
try:
    import_module("kserve")  # the import machinery returns what stands in sys.modules at the end
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "sampan":
        raise
    raise ModuleNotFoundError(
        f'No module named "kserve" in {sys.executable}; install kserve or sampan there',
        name="kserve",
    ) from None
