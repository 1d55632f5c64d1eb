"""Classical controllers: teachers to imitate and baselines to beat."""
