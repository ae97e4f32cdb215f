"""Every Redis key and script, and what is kept in them: jobs, results, deliveries, the catalog of models. May import core, settings, redis."""
