SELECT
    flag_key,
    flag_value,
    user_tier,
    COUNT(*) AS participants,
    COUNT(DISTINCT user_key) AS users,
    ROUND(AVG(variation_index), 4) AS average_variation_index
FROM silver.events
GROUP BY flag_key, flag_value, user_tier
