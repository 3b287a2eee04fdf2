"""How busy machines are: read from Novita, kept as a row a minute, forgotten after a while."""
