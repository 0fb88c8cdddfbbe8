//! Fields of Jobs JSON about clusters and workspaces: what is accepted and means nothing here, and what is refused.
//!
//! A job that was written for a workspace is read as it is. The reader takes these fields out before anything else looks at
//! the file, and tells in one note what was left out, so that nobody believes that it does something.

/// Fields of a workflow that mean nothing here.
pub const IGNORED_OF_WORKFLOW: &[&str] = &[
    "budget_policy_id",
    "deployment",
    "edit_mode",
    "environment_variables",
    "environments",
    "format",
    "git_source",
    "job_clusters",
    "parent_path",
    "performance_target",
    "permissions",
    "run_as",
    "usage_policy_id",
];

/// Fields of a task that mean nothing here.
pub const IGNORED_OF_TASK: &[&str] = &[
    "compute",
    "disable_auto_optimization",
    "environment_key",
    "environment_variables_key",
    "existing_cluster_id",
    "job_cluster_key",
    "libraries",
    "new_cluster",
];

/// Fields inside bodies that mean nothing here, as the body and the way to the field.
pub const IGNORED_OF_BODIES: &[(&str, &[&str])] = &[("sql_task", &["warehouse_id"]), ("sql_task", &["file", "source"])];

/// Bodies that cannot be run here, each with what to do instead.
pub const REFUSED_BODIES: &[(&str, &str)] = &[
    ("agentic_task", "agents are not run here"),
    ("ai_runtime_task", "models are not run here"),
    ("alert_task", "write the question as a sql_task and a condition_task behind it"),
    ("clean_rooms_notebook_task", "there are no clean rooms here"),
    ("dashboard_task", "there are no dashboards here"),
    ("dbt_cloud_task", "call the service from a shell_task"),
    ("dbt_platform_task", "call the service from a shell_task"),
    ("dbt_task", "write the models as tables of a pipeline, or run dbt from a shell_task"),
    ("gen_ai_compute_task", "models are not run here"),
    ("genie_task", "there is no Genie here"),
    (
        "notebook_task",
        "there are no notebooks here; write its SQL as tables of a pipeline, or run it from a shell_task",
    ),
    ("power_bi_task", "call the service from a shell_task"),
    ("python_operator_task", "run the script from a shell_task"),
    ("python_wheel_task", "run the package from a shell_task"),
    ("spark_jar_task", "there is no Spark here; run the program from a shell_task"),
    ("spark_python_task", "there is no Spark here; run the script from a shell_task"),
    ("spark_submit_task", "there is no Spark here; run the program from a shell_task"),
];

/// Fields inside bodies that need a workspace, as the body, the field, and what to do instead.
pub const REFUSED_OF_BODIES: &[(&str, &str, &str)] = &[
    ("sql_task", "query", "saved queries are of a workspace; write the query in a file and name it with `file`"),
    ("sql_task", "alert", "alerts are of a workspace; put a condition_task behind the query"),
    ("sql_task", "dashboard", "dashboards are of a workspace"),
    ("pipeline_task", "refresh_flow_selection", "name tables with `refresh_selection`"),
    ("pipeline_task", "reset_checkpoint_selection", "positions lie in the tables; use `full_refresh_selection`"),
    ("run_job_task", "notebook_params", "use `job_parameters`"),
    ("run_job_task", "python_params", "use `job_parameters`"),
    ("run_job_task", "jar_params", "use `job_parameters`"),
    ("run_job_task", "sql_params", "use `job_parameters`"),
];
