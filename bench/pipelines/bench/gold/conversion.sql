-- A user converted if the last conversion is at or after the first exposure: one row per user on both sides of the join.
WITH exposures AS (
    SELECT flag_key, flag_value, user_key, MIN(ts) AS first_exposure
    FROM silver.events
    GROUP BY flag_key, flag_value, user_key
),
conversions AS (
    SELECT user_key, MAX(CAST(conversion_timestamp AS TIMESTAMP)) AS last_conversion
    FROM bronze.conversions
    GROUP BY user_key
)
SELECT
    e.flag_key,
    e.flag_value,
    COUNT(*) AS participants,
    COUNT(*) FILTER (WHERE c.last_conversion >= e.first_exposure) AS conversions,
    ROUND(100.0 * COUNT(*) FILTER (WHERE c.last_conversion >= e.first_exposure) / COUNT(*), 2) AS conversion_rate
FROM exposures AS e
LEFT JOIN conversions AS c ON c.user_key = e.user_key
GROUP BY e.flag_key, e.flag_value
