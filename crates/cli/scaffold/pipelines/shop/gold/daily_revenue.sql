SELECT order_date, country, COUNT(*) AS orders, SUM(amount) AS revenue
FROM silver.orders
GROUP BY order_date, country
