SELECT event_date AS experiment_date, flag_key, flag_value, COUNT(*) AS daily_participants
FROM silver.events
GROUP BY event_date, flag_key, flag_value
