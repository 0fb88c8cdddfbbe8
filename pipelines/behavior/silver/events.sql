-- Runs over the new rows of bronze.events. LEFT JOIN keeps events of unknown customers and products, so that the
-- expectations see them; an inner join would lose them without a trace.
SELECT
    e.event_id,
    e.event_type,
    e.timestamp AS ts,
    CAST(e.timestamp AS DATE) AS event_date,
    e.session_id,
    e.device,
    e.customer_id,
    c.country,
    e.product_id,
    p.name AS product_name,
    p.category,
    e.quantity,
    e.price,
    CAST(e.quantity * e.price AS DECIMAL(14, 2)) AS amount,
    e.rating,
    e.review_text
FROM bronze.events AS e
LEFT JOIN silver.customers AS c ON c.customer_id = e.customer_id
LEFT JOIN silver.products AS p ON p.product_id = e.product_id
