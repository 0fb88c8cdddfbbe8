SELECT
    flag_key,
    user_tier,
    COUNT(*) AS participants,
    COUNT(DISTINCT user_key) AS users
FROM silver.events
WHERE user_tier IS NOT NULL
GROUP BY flag_key, user_tier
