SELECT
    sequence,
    timestamp,
    COALESCE(flag_key, 'none') AS flag_key,
    evaluation_context['key'] AS user_key,
    flag_value,
    produced_ms
FROM bronze.events
