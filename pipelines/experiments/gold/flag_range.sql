-- medallion query "SELECT * FROM experiments.gold.flag_range
--                  WHERE event_date BETWEEN DATE '2024-01-03' AND DATE '2024-01-05' AND flag_key = 'dark-mode'"
SELECT
    event_date,
    flag_key,
    flag_value,
    COUNT(*) AS participants,
    COUNT(DISTINCT user_key) AS users,
    MIN(ts) AS first_seen,
    MAX(ts) AS last_seen
FROM silver.events
GROUP BY event_date, flag_key, flag_value
