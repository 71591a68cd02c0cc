"""The Go toolchain, by the name that recipes of images have for it: a change of theirs is another image."""

from graders.tools.toolchain import TOOLCHAIN_LOCK, ensure_toolchain

__all__ = ["TOOLCHAIN_LOCK", "ensure_toolchain"]
