-- Recency counts from the newest event, not from today, so the same data gives the same segments.
WITH purchases AS (
    SELECT
        customer_id,
        MAX(event_date) AS last_purchase,
        COUNT(DISTINCT session_id) AS orders,
        SUM(amount) AS revenue
    FROM silver.events
    WHERE event_type = 'purchase'
    GROUP BY customer_id
),
newest AS (
    SELECT MAX(event_date) AS day FROM silver.events
),
scored AS (
    -- 4 is best. The customer id settles ties, so that scores do not depend on the order of the rows.
    SELECT
        p.customer_id,
        p.last_purchase,
        CAST(n.day AS INT) - CAST(p.last_purchase AS INT) AS recency_days,
        p.orders,
        p.revenue,
        CAST(NTILE(4) OVER (ORDER BY p.last_purchase, p.customer_id) AS INT) AS recency_score,
        CAST(NTILE(4) OVER (ORDER BY p.orders, p.customer_id) AS INT) AS frequency_score,
        CAST(NTILE(4) OVER (ORDER BY p.revenue, p.customer_id) AS INT) AS value_score
    FROM purchases AS p
    CROSS JOIN newest AS n
)
SELECT
    c.customer_id,
    c.country,
    s.last_purchase,
    s.recency_days,
    COALESCE(s.orders, 0) AS orders,
    COALESCE(s.revenue, 0) AS revenue,
    s.recency_score,
    s.frequency_score,
    s.value_score,
    CASE
        WHEN s.customer_id IS NULL THEN 'never bought'
        WHEN s.recency_score >= 3 AND s.frequency_score >= 3 AND s.value_score >= 3 THEN 'champion'
        WHEN s.frequency_score >= 3 AND s.recency_score <= 2 THEN 'at risk'
        WHEN s.frequency_score >= 3 THEN 'loyal'
        WHEN s.recency_score >= 3 THEN 'recent'
        ELSE 'fading'
    END AS segment
FROM silver.customers AS c
LEFT JOIN scored AS s ON s.customer_id = c.customer_id
