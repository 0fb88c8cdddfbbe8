SELECT
    flag_key,
    flag_value,
    COUNT(*) AS participants,
    COUNT(DISTINCT user_key) AS users
FROM silver.events
GROUP BY flag_key, flag_value
