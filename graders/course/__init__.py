"""The course: which labs there are, and that a lab's own files, rubric, checks and solutions agree.

A lab is `labs/<lab>/lab.yaml`, `rubrics/<lab>.yaml`, `graders/<lab>/checks/` and `solutions/<lab>/`.
"""

from graders.course.course import Course, Lab, load_course
from graders.course.files import Expected, load_expected
from graders.course.patches import PATCH, apply_patch

__all__ = [
    "PATCH",
    "Course",
    "Expected",
    "Lab",
    "apply_patch",
    "load_course",
    "load_expected",
]
