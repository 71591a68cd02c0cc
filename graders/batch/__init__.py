"""A whole class at once: who handed in what, gradings side by side, results in the store.

No grading happens here: each is a process of its own, `kubeproof grade`.
"""
