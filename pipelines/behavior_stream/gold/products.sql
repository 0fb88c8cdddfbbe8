SELECT
    product_id,
    event_type,
    COUNT(*) AS events,
    SUM(quantity) AS units,
    SUM(amount) AS revenue
FROM silver.events
GROUP BY product_id, event_type
