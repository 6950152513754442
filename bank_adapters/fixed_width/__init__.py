"""Fixed-width formats on one engine: CODA (Belgium), CFONB120 (France), Norma 43 (Spain)."""
