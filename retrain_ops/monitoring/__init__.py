"""What a clock watches between runs: drift, decay, days that never ran."""
