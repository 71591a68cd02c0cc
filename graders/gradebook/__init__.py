"""Gradebooks: a class's grades, handed in wherever a university wants them.

It knows nothing of where grades are kept; whoever keeps them makes a `GradebookModel`. It decides no points.
"""
