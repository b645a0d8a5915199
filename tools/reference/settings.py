"""`settings.md`: what an operator sets, from the table of settings."""

from __future__ import annotations

from dataclasses import fields

from sampan.app.operator_settings import SECTION, SETTINGS, Setting
from sampan.storage.base import FetchOptions
from tools.reference.markdown import code, page, section, table

_FILE = f"""
Read once when the daemon starts, from `config.yaml` in the configuration folder
(`~/.config/sampan` unless told otherwise) and from the environment, which wins. All stand under
`{SECTION}:` in the file. A name that is misspelt, or a value that cannot be read, keeps the daemon
from starting.
"""
_FOLDERS = """
| what | where | moved by |
|---|---|---|
| state: store, logs, records, volumes | `~/.local/state/sampan` | `XDG_STATE_HOME` |
| cache: models, environments | `~/.cache/sampan` | `XDG_CACHE_HOME` |
| configuration: `config.yaml`, `images.yaml` | `~/.config/sampan` | `XDG_CONFIG_HOME` |

On macOS state is in `~/Library/Application Support/sampan` and the cache in
`~/Library/Caches/sampan`. `SAMPAN_HOME=/somewhere` moves all three, to `state`, `cache` and
`config` in that folder. Folders of state are 0700, its files 0600. The cache can be removed while
Sampan is down.
"""
_CONFIG_MAP = """
The ConfigMap `inferenceservice-config` in the namespace `kserve`: [configuration](configuration.md)
has every setting of it.
"""
_VARIABLES = """
| variable | read by | meaning |
|---|---|---|
| `SAMPAN_HOME` | every verb | the folder that holds state, cache and configuration |
| `SAMPAN_CONTEXT` | verbs that ask a server | a cluster of the kubeconfig, as by `--context` |
| `NO_COLOR` | every verb | no colours |
| `SAMPAN_TOKEN` | `predict` | the bearer token, where `--token` gives none |
| `SAMPAN_AUDIT` | daemon | what `audit.log` gets: `writes`, `all` or `none` |
| `KUBECONFIG` | `up`, `down` | the file that gets kubectl's context `sampan` |
| `KSERVE_LOGLEVEL` | model server | `DEBUG`, `INFO`, `WARNING` or `ERROR` |
| `PREDICT_PROBA` | scikit-learn server | `true`: answer with probabilities |
| `SAMPAN_TERMINATION_LOG` | `storage-initializer` | an unusual `terminationMessagePath` |
| `SAMPAN_TRUST` | model server | `true` does what `--trust` does |
"""


def render() -> str:
    """Return the page."""
    return page(
        "Settings",
        section("Of the daemon", _FILE, table(("key", "variable", "default", "meaning"), _rows())),
        section("Folders", _FOLDERS),
        section("Variables", _VARIABLES),
        section("Of KServe", _CONFIG_MAP),
    )


def _rows() -> list[tuple[str, str, str, str]]:
    return [(code(s.key), code(s.variable), _default(s), s.meaning) for s in SETTINGS]


def _default(setting: Setting) -> str:
    default = next(f.default for f in fields(FetchOptions) if f.name == setting.field)
    if default == ():
        return "none"
    if isinstance(default, int) and default >= 1024**2 and default % 1024**2 == 0:
        mebi = default // 1024**2
        return code(f"{mebi // 1024}Gi" if mebi % 1024 == 0 else f"{mebi}Mi")
    return code(f"{default:g}")
