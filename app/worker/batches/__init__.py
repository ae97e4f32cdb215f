"""The three kinds of work that a batch is made of: a plan, chunks, an assembly. Rows come from files and go to files."""
