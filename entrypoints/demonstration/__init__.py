"""The demonstration: a simulated district through the whole engine, then held against its answer key."""
