"""What kubeproof costs, measured beside something else on the same machine in the same minutes."""
