WITH products AS (
    SELECT
        stock_code,
        MAX(description) AS description,
        SUM(quantity) AS units,
        COUNT(DISTINCT invoice_no) AS invoices,
        SUM(amount) AS net_revenue
    FROM silver.invoices
    WHERE is_product
    GROUP BY stock_code
),
ranked AS (
    SELECT *, CAST(ROW_NUMBER() OVER (ORDER BY net_revenue DESC, stock_code) AS BIGINT) AS rank
    FROM products
)
SELECT rank, stock_code, description, units, invoices, net_revenue
FROM ranked
WHERE rank <= 100
