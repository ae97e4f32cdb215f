"""The three handlers of a batch: plan, chunk and assembly. Rows come from files and go to files."""
