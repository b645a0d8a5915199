"""Archives from anywhere, unpacked so that nothing is written outside of one folder.

What archives hold is never trusted: names, links, sizes and counts are checked. Where archives come
from and where unpacked models are kept is `sampan.storage`'s.
"""
