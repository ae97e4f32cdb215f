"""Traces for an OpenTelemetry collector. Nothing here runs unless an endpoint is configured."""
