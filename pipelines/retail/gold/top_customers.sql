WITH customers AS (
    SELECT
        customer_id,
        MAX(country) AS country,
        COUNT(DISTINCT invoice_no) FILTER (WHERE NOT is_cancellation) AS invoices,
        MIN(invoice_date) AS first_purchase,
        MAX(invoice_date) AS last_purchase,
        SUM(amount) AS net_revenue
    FROM silver.invoices
    WHERE customer_id IS NOT NULL
    GROUP BY customer_id
),
ranked AS (
    SELECT *, CAST(ROW_NUMBER() OVER (ORDER BY net_revenue DESC, customer_id) AS BIGINT) AS rank
    FROM customers
)
SELECT rank, customer_id, country, invoices, first_purchase, last_purchase, net_revenue
FROM ranked
WHERE rank <= 100
