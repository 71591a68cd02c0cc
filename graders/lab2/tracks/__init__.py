"""What the grader does to a fleet, one story a module; nothing here judges."""
