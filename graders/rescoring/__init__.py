"""Second thoughts: what is stored is judged or scored again with today's checks and rubric."""
