SELECT flag_key, user_tier, COUNT(*) AS count
FROM silver.events
WHERE user_tier IS NOT NULL
GROUP BY flag_key, user_tier
