SELECT ts, flag_key, user_key, user_tier, user_country, flag_value, CAST(ts AS DATE) AS event_date
FROM bronze.events
