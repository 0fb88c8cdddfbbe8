SELECT
    product_id,
    MAX(product_name) AS product_name,
    MAX(category) AS category,
    COUNT(*) AS reviews,
    ROUND(AVG(rating), 2) AS average_rating,
    COUNT(*) FILTER (WHERE rating >= 4) AS positive,
    COUNT(*) FILTER (WHERE rating = 3) AS neutral,
    COUNT(*) FILTER (WHERE rating <= 2) AS negative,
    ROUND(AVG(character_length(review_text)), 1) AS average_length,
    MAX(ts) AS newest_review
FROM silver.events
WHERE event_type = 'review'
GROUP BY product_id
