"""What kubeproof tells GitHub: outputs, summary and annotations of a job, and Classroom 50's result.

It grades nothing: it reads the folder that a grading left. Nothing here talks to a network.
"""
