SELECT
    flag_key,
    user_country,
    COUNT(*) AS participants,
    COUNT(DISTINCT user_key) AS users
FROM silver.events
WHERE user_country IS NOT NULL
GROUP BY flag_key, user_country
