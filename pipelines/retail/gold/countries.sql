WITH countries AS (
    SELECT
        country,
        COUNT(DISTINCT invoice_no) FILTER (WHERE NOT is_cancellation) AS invoices,
        COUNT(DISTINCT customer_id) AS customers,
        SUM(amount) AS net_revenue
    FROM silver.invoices
    GROUP BY country
)
SELECT
    country,
    invoices,
    customers,
    net_revenue,
    ROUND(100.0 * CAST(net_revenue AS DOUBLE) / CAST(SUM(net_revenue) OVER () AS DOUBLE), 2) AS revenue_share
FROM countries
