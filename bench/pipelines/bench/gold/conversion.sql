-- A user converted if a conversion is at or after an exposure; each user counts once.
SELECT
    e.flag_key,
    e.flag_value,
    COUNT(DISTINCT e.user_key) AS participants,
    COUNT(DISTINCT c.user_key) AS conversions,
    ROUND(100.0 * COUNT(DISTINCT c.user_key) / COUNT(DISTINCT e.user_key), 2) AS conversion_rate
FROM silver.events AS e
LEFT JOIN bronze.conversions AS c
    ON c.user_key = e.user_key AND CAST(c.conversion_timestamp AS TIMESTAMP) >= e.ts
GROUP BY e.flag_key, e.flag_value
