"""What came of a job's trials: sorted, filtered, compared."""
