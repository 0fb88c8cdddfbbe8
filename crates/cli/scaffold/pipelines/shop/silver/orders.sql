-- Runs over the new rows of bronze.orders, after the clean steps.
SELECT
    order_id,
    ordered_at,
    CAST(ordered_at AS DATE) AS order_date,
    customer,
    country,
    amount
FROM bronze.orders
