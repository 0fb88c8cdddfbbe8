SELECT flag_key, COUNT(*) AS count FROM silver.events GROUP BY flag_key
