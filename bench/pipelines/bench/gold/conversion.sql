SELECT
    e.flag_key,
    e.flag_value,
    COUNT(DISTINCT e.user_key) AS participants,
    COUNT(DISTINCT c.user_key) AS conversions,
    ROUND(COUNT(DISTINCT c.user_key) * 100.0 / COUNT(DISTINCT e.user_key), 2) AS conversion_rate
FROM silver.events AS e
LEFT JOIN bronze.conversions AS c
    ON e.user_key = c.user_key AND CAST(c.conversion_timestamp AS TIMESTAMP) >= e.ts
GROUP BY e.flag_key, e.flag_value
