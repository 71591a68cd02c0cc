"""The tracks of lab 3: each a lane with a cluster of its own."""
