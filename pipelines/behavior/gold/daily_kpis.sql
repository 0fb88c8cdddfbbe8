-- An order is what one session bought. The conversion rate is the share of visitors who bought, in percent.
WITH days AS (
    SELECT
        event_date,
        COUNT(DISTINCT customer_id) AS visitors,
        COUNT(DISTINCT session_id) AS sessions,
        COUNT(*) FILTER (WHERE event_type = 'page_view') AS page_views,
        COUNT(DISTINCT session_id) FILTER (WHERE event_type = 'purchase') AS orders,
        COUNT(DISTINCT customer_id) FILTER (WHERE event_type = 'purchase') AS buyers,
        COALESCE(SUM(amount) FILTER (WHERE event_type = 'purchase'), 0) AS revenue
    FROM silver.events
    GROUP BY event_date
)
SELECT
    event_date,
    visitors,
    sessions,
    page_views,
    orders,
    buyers,
    revenue,
    ROUND(100.0 * buyers / visitors, 2) AS conversion_rate,
    ROUND(CAST(revenue AS DOUBLE) / NULLIF(orders, 0), 2) AS average_order_value
FROM days
