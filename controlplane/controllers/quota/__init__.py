"""How much of each ResourceQuota is used."""
