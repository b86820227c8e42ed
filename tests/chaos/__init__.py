"""`make chaos`: faults on a real service, and whether what was promised holds."""
