WITH newest AS (
    SELECT MAX(event_date) AS day FROM gold.daily_kpis
),
days AS (
    SELECT k.*, CAST(n.day AS INT) - CAST(k.event_date AS INT) AS age
    FROM gold.daily_kpis AS k
    CROSS JOIN newest AS n
),
periods AS (
    SELECT 'all time' AS period, * FROM days
    UNION ALL
    SELECT 'last 7 days' AS period, * FROM days WHERE age < 7
    UNION ALL
    SELECT '7 days before' AS period, * FROM days WHERE age >= 7 AND age < 14
)
SELECT
    period,
    MIN(event_date) AS first_day,
    MAX(event_date) AS last_day,
    SUM(sessions) AS sessions,
    SUM(orders) AS orders,
    SUM(revenue) AS revenue,
    ROUND(100.0 * SUM(orders) / NULLIF(SUM(sessions), 0), 2) AS orders_per_100_sessions,
    ROUND(CAST(SUM(revenue) AS DOUBLE) / NULLIF(SUM(orders), 0), 2) AS average_order_value
FROM periods
GROUP BY period
