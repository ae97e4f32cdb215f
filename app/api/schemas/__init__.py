"""What OpenAPI says of bodies and answers: documentation only, nothing is validated with it. A test holds real answers against it."""
