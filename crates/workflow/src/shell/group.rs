//! The process group of a program, and the signals that end it.

use tokio::process::Child;

/// The process group that a program leads. Whatever is in it is killed when this is dropped.
pub(super) struct Group {
    /// The id of its leader; `None` when that had ended before anybody asked.
    id: Option<libc::pid_t>,
}

impl Group {
    /// That of a program which was started as the leader of one.
    pub(super) fn of(child: &Child) -> Group {
        Group { id: child.id().and_then(|id| libc::pid_t::try_from(id).ok()).filter(|id| *id > 1) }
    }

    /// Asks all of it to end.
    pub(super) fn terminate(&self) {
        self.signal(libc::SIGTERM);
    }

    /// Ends all of it.
    pub(super) fn kill(&self) {
        self.signal(libc::SIGKILL);
    }

    #[expect(unsafe_code, reason = "the standard library has signals for single processes only")]
    fn signal(&self, signal: libc::c_int) {
        if let Some(id) = self.id {
            // SAFETY: it takes two numbers and touches no memory. That nobody is left in the group is no failure.
            let _ = unsafe { libc::kill(-id, signal) };
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
