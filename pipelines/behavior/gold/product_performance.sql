WITH events AS (
    SELECT
        product_id,
        COUNT(*) FILTER (WHERE event_type = 'page_view') AS page_views,
        COUNT(*) FILTER (WHERE event_type = 'click') AS clicks,
        COUNT(*) FILTER (WHERE event_type = 'purchase') AS purchases,
        COALESCE(SUM(quantity) FILTER (WHERE event_type = 'purchase'), 0) AS units,
        COALESCE(SUM(amount) FILTER (WHERE event_type = 'purchase'), 0) AS revenue,
        COUNT(*) FILTER (WHERE event_type = 'review') AS reviews,
        ROUND(AVG(rating) FILTER (WHERE event_type = 'review'), 2) AS average_rating
    FROM silver.events
    GROUP BY product_id
)
SELECT
    p.product_id,
    p.name,
    p.category,
    p.price,
    COALESCE(e.page_views, 0) AS page_views,
    COALESCE(e.clicks, 0) AS clicks,
    COALESCE(e.purchases, 0) AS purchases,
    COALESCE(e.units, 0) AS units,
    COALESCE(e.revenue, 0) AS revenue,
    ROUND(100.0 * e.purchases / NULLIF(e.page_views, 0), 2) AS purchases_per_100_views,
    COALESCE(e.reviews, 0) AS reviews,
    e.average_rating
FROM silver.products AS p
LEFT JOIN events AS e ON e.product_id = p.product_id
