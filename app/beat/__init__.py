"""Beat: says when a schedule is due. Any number may run; one of them fires, and another takes over when it dies."""
