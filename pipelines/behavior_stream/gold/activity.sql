-- Keys, counts and sums of decimals only, so every commit of silver adds its rows alone to what is there.
SELECT
    date_trunc('minute', ts) AS minute,
    event_type,
    COUNT(*) AS events,
    SUM(amount) AS revenue
FROM silver.events
GROUP BY date_trunc('minute', ts), event_type
