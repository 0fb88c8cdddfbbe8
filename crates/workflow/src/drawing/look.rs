//! What a state looks like. States are names, so that a new one needs no change here to be drawn.

/// States that look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// No state: a plan.
    Planned,
    /// Not started.
    Waiting,
    Running,
    /// Between two attempts.
    Retrying,
    Succeeded,
    /// Succeeded, though not all of it.
    Warned,
    Failed,
    /// Kept from running, or stopped.
    Stopped,
    /// Not meant to run.
    LeftOut,
    /// A state that is not known here.
    Other,
}

impl Look {
    pub(super) fn of(state: Option<&str>) -> Look {
        match state {
            None => Look::Planned,
            Some("PENDING" | "BLOCKED" | "QUEUED" | "WAITING") => Look::Waiting,
            Some("RUNNING" | "TERMINATING") => Look::Running,
            Some("WAITING_FOR_RETRY") => Look::Retrying,
            Some("SUCCESS" | "TERMINATED") => Look::Succeeded,
            Some("SUCCESS_WITH_FAILURES") => Look::Warned,
            Some("FAILED" | "TIMEDOUT" | "INTERRUPTED" | "INTERNAL_ERROR") => Look::Failed,
            Some("CANCELED" | "UPSTREAM_FAILED" | "UPSTREAM_CANCELED") => Look::Stopped,
            Some("EXCLUDED" | "SKIPPED" | "DISABLED") => Look::LeftOut,
            Some(_) => Look::Other,
        }
    }

    /// One cell that tells the states apart without colours.
    pub(super) fn glyph(self) -> &'static str {
        match self {
            Look::Planned => "○",
            Look::Waiting => "◌",
            Look::Running => "●",
            Look::Retrying => "↻",
            Look::Succeeded => "✓",
            Look::Warned => "!",
            Look::Failed => "✗",
            Look::Stopped => "⊘",
            Look::LeftOut => "–",
            Look::Other => "?",
        }
    }

    /// The parameters of the ANSI sequence "select graphic rendition" (ECMA-48, 8.3.117).
    pub(super) fn ansi(self) -> &'static str {
        match self {
            Look::Planned | Look::Other => "",
            Look::Waiting | Look::LeftOut => "2",
            Look::Running => "1;36",
            Look::Retrying | Look::Warned => "33",
            Look::Succeeded => "32",
            Look::Failed => "1;31",
            Look::Stopped => "35",
        }
    }

    /// Fill, border and text of a Mermaid class; readable on light and dark pages alike.
    pub(super) fn colours(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Look::Planned | Look::Other | Look::Waiting => ("#f3f4f6", "#9ca3af", "#374151"),
            Look::Running => ("#dbeafe", "#2563eb", "#1e3a8a"),
            Look::Retrying | Look::Warned => ("#fef3c7", "#d97706", "#78350f"),
            Look::Succeeded => ("#dcfce7", "#16a34a", "#14532d"),
            Look::Failed => ("#fee2e2", "#dc2626", "#7f1d1d"),
            Look::Stopped => ("#f3e8ff", "#9333ea", "#581c87"),
            Look::LeftOut => ("#f9fafb", "#d1d5db", "#6b7280"),
        }
    }
}

/// The state as a name for classes: what is not a letter or digit of ASCII is an underscore.
pub(super) fn class_name(state: &str) -> String {
    state.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' }).collect()
}
