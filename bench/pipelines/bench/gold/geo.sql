SELECT flag_key, user_country, COUNT(*) AS participant_count
FROM silver.events
WHERE user_country IS NOT NULL
GROUP BY flag_key, user_country
