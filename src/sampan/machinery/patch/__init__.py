"""The four ways of changing an object by a patch, all pure: the arguments are left as they are.

`json_patch` (RFC 6902; `make_json_patch` is the other direction), `merge_patch` (RFC 7396),
`strategic_merge` (Kubernetes, by the merge keys of `merge_keys`). Server-side apply is
`sampan.machinery.apply`, by the same table. What a field *means* does not belong here.
"""

from sampan.machinery.patch.json_patch import json_patch
from sampan.machinery.patch.make_json_patch import make_json_patch
from sampan.machinery.patch.merge_patch import make_merge_patch, merge_patch
from sampan.machinery.patch.strategic import strategic_merge

__all__ = ["json_patch", "make_json_patch", "make_merge_patch", "merge_patch", "strategic_merge"]
