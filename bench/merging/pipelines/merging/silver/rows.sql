SELECT id, updated_at, customer, country, amount, note, gone FROM bronze.rows
