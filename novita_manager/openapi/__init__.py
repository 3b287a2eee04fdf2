"""What the API says of itself: the OpenAPI description, and the list of its error codes."""
