SELECT customer, COUNT(*) AS orders, SUM(amount) AS spent, MAX(ordered_at) AS last_order
FROM silver.orders
GROUP BY customer
