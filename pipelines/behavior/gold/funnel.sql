WITH steps AS (
    SELECT
        event_date,
        category,
        COUNT(DISTINCT session_id) FILTER (WHERE event_type = 'page_view') AS viewed,
        COUNT(DISTINCT session_id) FILTER (WHERE event_type = 'click') AS clicked,
        COUNT(DISTINCT session_id) FILTER (WHERE event_type = 'purchase') AS bought,
        COUNT(DISTINCT session_id) FILTER (WHERE event_type = 'review') AS reviewed
    FROM silver.events
    GROUP BY event_date, category
)
SELECT
    event_date,
    category,
    viewed,
    clicked,
    bought,
    reviewed,
    ROUND(100.0 * clicked / NULLIF(viewed, 0), 2) AS click_rate,
    ROUND(100.0 * bought / NULLIF(clicked, 0), 2) AS purchase_rate,
    ROUND(100.0 * reviewed / NULLIF(bought, 0), 2) AS review_rate
FROM steps
