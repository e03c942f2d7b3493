"""Webhooks: endpoints, Standard Webhooks signatures, deliveries that are tried until they are taken or given up."""
