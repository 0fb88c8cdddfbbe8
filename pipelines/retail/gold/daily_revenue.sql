-- Lines of negative quantity on ordinary invoices (discounts, fees) take back as cancellations do.
SELECT
    invoice_date,
    COUNT(DISTINCT invoice_no) FILTER (WHERE NOT is_cancellation) AS invoices,
    COUNT(DISTINCT invoice_no) FILTER (WHERE is_cancellation) AS cancellations,
    COALESCE(SUM(amount) FILTER (WHERE quantity > 0), 0) AS gross_revenue,
    COALESCE(SUM(amount) FILTER (WHERE quantity <= 0), 0) AS taken_back,
    SUM(amount) AS net_revenue
FROM silver.invoices
GROUP BY invoice_date
