"""Words that every floor shares: schema, task, rows, program, errors, randomness. No torch at import."""
