-- two_proportion_z_test returns a struct; its fields are read by name.
WITH compared AS (
    SELECT
        v.flag_key,
        v.flag_value,
        v.participants,
        v.conversions,
        v.conversion_rate,
        c.participants AS control_participants,
        c.conversions AS control_conversions,
        c.conversion_rate AS control_rate,
        two_proportion_z_test(v.conversions, v.participants, c.conversions, c.participants) AS test
    FROM gold.conversion AS v
    JOIN gold.conversion AS c ON c.flag_key = v.flag_key AND c.flag_value = 'control'
    WHERE v.flag_value <> 'control'
)
SELECT
    flag_key,
    flag_value,
    participants,
    conversions,
    conversion_rate,
    control_participants,
    control_conversions,
    control_rate,
    ROUND(100.0 * test['difference'], 2) AS difference_points,
    ROUND(100.0 * test['ci_low'], 2) AS ci_low_points,
    ROUND(100.0 * test['ci_high'], 2) AS ci_high_points,
    ROUND(test['z'], 4) AS z,
    test['p_value'] AS p_value,
    test['p_value'] < 0.05 AS is_significant
FROM compared
