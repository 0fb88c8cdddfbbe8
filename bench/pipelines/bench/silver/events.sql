SELECT
    timestamp AS ts,
    flag_key,
    evaluation_context_key AS user_key,
    evaluation_context_kind AS context_kind,
    evaluation_context_tier AS user_tier,
    evaluation_context_country AS user_country,
    flag_value,
    variation_index,
    reason_kind,
    CAST(timestamp AS DATE) AS event_date
FROM bronze.events
