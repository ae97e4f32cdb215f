"""Telling receivers of webhooks what happened to jobs. May import core, store, settings, metrics, httpx, standardwebhooks."""
