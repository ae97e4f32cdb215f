"""How requests are read and answers are written: bodies, headers, parameters, errors and streams."""
