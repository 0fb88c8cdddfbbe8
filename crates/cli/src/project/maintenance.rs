//! How users write `[maintenance]` of `medallion.toml`.

use frame::TimeSpan;
use lake::maintenance::MaintenanceSettings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stage::Problem;

use super::settings::bytes;

/// `[maintenance]`: how tables are kept fast while they grow.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MaintenanceSpec {
    /// How large data files should be, such as `128MB`, which is meant when it is left out.
    pub target_file_size: Option<String>,
    /// How long files stay after they were replaced, and staged files that were never committed, such as `7d`, which is
    /// meant when it is left out. No batch and no query may take longer.
    pub retention: Option<TimeSpan>,
    /// How long the log tells of each version, such as `7d`, which is meant when it is left out.
    pub log_retention: Option<TimeSpan>,
    /// How often a stream looks after each table, such as `5m`, which is meant when it is left out.
    pub interval: Option<TimeSpan>,
}

impl MaintenanceSpec {
    /// The settings, with the defaults where nothing is said.
    pub(crate) fn settings(&self, problems: &mut Vec<Problem>) -> MaintenanceSettings {
        let defaults = MaintenanceSettings::default();
        let mut settings = MaintenanceSettings {
            retention: self.retention.map_or(defaults.retention, TimeSpan::duration),
            log_retention: self.log_retention.map_or(defaults.log_retention, TimeSpan::duration),
            interval: self.interval.map_or(defaults.interval, TimeSpan::duration),
            ..defaults
        };
        if let Some(text) = &self.target_file_size {
            match bytes(text) {
                Ok(0) => {
                    let message = "expected a size larger than nothing, such as 128MB".to_owned();
                    problems.push(Problem::new("maintenance/target_file_size", message));
                }
                Ok(bytes) => settings.target_file_size = bytes,
                Err(message) => problems.push(Problem::new("maintenance/target_file_size", message)),
            }
        }
        if settings.interval.is_zero() {
            problems.push(Problem::new("maintenance/interval", "expected a time longer than nothing, found 0"));
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_left_out_has_a_default() {
        let spec = MaintenanceSpec { log_retention: Some("2d".parse().unwrap()), ..MaintenanceSpec::default() };
        let mut problems = Vec::new();
        let settings = spec.settings(&mut problems);
        assert_eq!(settings.log_retention, Duration::from_secs(2 * 24 * 60 * 60));
        assert_eq!(settings.retention, MaintenanceSettings::default().retention);
        assert!(problems.is_empty());
    }

    #[test]
    fn a_size_that_is_none_is_a_problem() {
        let spec = MaintenanceSpec { target_file_size: Some("many".into()), ..MaintenanceSpec::default() };
        let mut problems = Vec::new();
        spec.settings(&mut problems);
        assert_eq!(problems[0].at, "maintenance/target_file_size");
    }
}
