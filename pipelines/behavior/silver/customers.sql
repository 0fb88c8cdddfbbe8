SELECT customer_id, name, email, country, age, income, signup_date, updated_at
FROM bronze.customers
