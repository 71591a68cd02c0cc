"""Real nodes and pods: kind clusters on a Docker engine, and simulated nodes beside them."""
