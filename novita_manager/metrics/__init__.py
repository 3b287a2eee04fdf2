"""What Prometheus reads: gauges read from the database at the moment of asking, and counts that all processes share."""
