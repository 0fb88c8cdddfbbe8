-- Runs over the new rows of bronze.events, after the clean steps.
SELECT
    timestamp AS ts,
    CAST(timestamp AS DATE) AS event_date,
    flag_key,
    flag_value,
    evaluation_context_key AS user_key,
    evaluation_context_kind AS context_kind,
    evaluation_context_tier AS user_tier,
    evaluation_context_country AS user_country,
    variation_index,
    reason_kind,
    _ingested_at AS processed_at
FROM bronze.events
