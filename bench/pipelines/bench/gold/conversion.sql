-- A user converted if the last conversion is at or after an exposure; each user counts once.
WITH conversions AS (
    SELECT user_key, MAX(CAST(conversion_timestamp AS TIMESTAMP)) AS last_conversion
    FROM bronze.conversions
    GROUP BY user_key
)
SELECT
    e.flag_key,
    e.flag_value,
    COUNT(DISTINCT e.user_key) AS participants,
    COUNT(DISTINCT CASE WHEN c.last_conversion >= e.ts THEN e.user_key END) AS conversions,
    ROUND(
        100.0 * COUNT(DISTINCT CASE WHEN c.last_conversion >= e.ts THEN e.user_key END) / COUNT(DISTINCT e.user_key),
        2
    ) AS conversion_rate
FROM silver.events AS e
LEFT JOIN conversions AS c ON c.user_key = e.user_key
GROUP BY e.flag_key, e.flag_value
