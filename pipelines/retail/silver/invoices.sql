-- Runs over the new rows of bronze.invoices, after the clean steps. Prices are decimals, so sums are exact.
SELECT
    invoice_no,
    stock_code,
    description,
    quantity,
    invoiced_at,
    CAST(invoiced_at AS DATE) AS invoice_date,
    unit_price,
    CAST(customer_id AS BIGINT) AS customer_id,
    country,
    starts_with(invoice_no, 'C') AS is_cancellation,
    -- Products begin with five digits, or are gifts and dolls; POST, DOT, M, BANK CHARGES and the like are not sold.
    stock_code ~ '^([0-9]{5}|DCGS|gift_)' AS is_product,
    CAST(quantity * unit_price AS DECIMAL(14, 2)) AS amount
FROM bronze.invoices
