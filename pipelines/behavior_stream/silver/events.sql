SELECT
    event_id,
    event_type,
    timestamp AS ts,
    session_id,
    device,
    campaign,
    customer_id,
    product_id,
    quantity,
    price,
    CAST(quantity * price AS DECIMAL(14, 2)) AS amount,
    rating,
    review_text
FROM bronze.events
