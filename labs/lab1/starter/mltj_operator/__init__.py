"""An operator for MLTrainingJobs."""
