SELECT
    event_date,
    flag_key,
    flag_value,
    COUNT(*) AS participants,
    COUNT(DISTINCT user_key) AS users
FROM silver.events
GROUP BY event_date, flag_key, flag_value
