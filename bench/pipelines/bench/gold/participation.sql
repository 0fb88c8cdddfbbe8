SELECT flag_key, flag_value, COUNT(*) AS participant_count, COUNT(DISTINCT user_key) AS unique_users
FROM silver.events
GROUP BY flag_key, flag_value
