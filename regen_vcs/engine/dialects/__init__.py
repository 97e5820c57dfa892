"""How each program writes down what it made: from a text in a file to generator, params and models. Pure."""
