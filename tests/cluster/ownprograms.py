"""Tests of a lab's own programs run where these are built, which takes longer than a stage of CI has."""

from __future__ import annotations

import pytest

from graders.tools import Toolset, find


def needs(*toolsets: Toolset) -> pytest.MarkDecorator:
    """Leave a module's tests out, and say so, where one of the programs is not in the cache."""
    lacking = [each.title for each in toolsets if find(each) is None]
    why = f"`kubeproof setup lab2` was not run here: there is no {', no '.join(lacking)}"
    return pytest.mark.skipif(bool(lacking), reason=why)
