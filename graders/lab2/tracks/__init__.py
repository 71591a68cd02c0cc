"""What the grader does to a fleet, one track a module; nothing here judges."""
