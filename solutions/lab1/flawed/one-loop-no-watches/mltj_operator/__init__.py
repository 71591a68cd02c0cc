"""An operator for MLTrainingJobs that lists and never watches."""
