SELECT product_id, name, category, price, rating, updated_at
FROM bronze.products
