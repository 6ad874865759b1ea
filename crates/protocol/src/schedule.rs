//! Whether a connector's schedule asks for a job now.

use jiff::Timestamp;

use crate::connector::ScheduleEntry;
use crate::cron::{CronError, Schedule};

/// What a schedule asks for at a certain moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// A job, whose time was this.
    Now(Timestamp),
    /// Nothing before this time.
    At(Timestamp),
    /// Nothing: a job was scheduled since the last wake-up, by another service or before a restart.
    AlreadyScheduled,
    /// Nothing, ever: the schedule is off, or its last time has passed.
    Never,
}

/// Decides whether a job is due.
///
/// A scheduler wakes up every few seconds. The next time is computed from its *previous* wake-up, so that no time that
/// passed in between is missed; several that passed are one job. `last_scheduled` is the stored stamp of the last job
/// of this type: if it is later than the previous wake-up, another scheduler was quicker.
pub fn due(
    entry: &ScheduleEntry,
    previous_wakeup: Timestamp,
    now: Timestamp,
    last_scheduled: Option<Timestamp>,
) -> Result<Due, CronError> {
    if !entry.enabled {
        return Ok(Due::Never);
    }
    let schedule = Schedule::parse(entry.interval.as_deref().unwrap_or_default())?;
    Ok(match schedule.next_after(previous_wakeup) {
        None => Due::Never,
        Some(next) if next > now => Due::At(next),
        Some(_) if last_scheduled.is_some_and(|last| last > previous_wakeup) => Due::AlreadyScheduled,
        Some(next) => Due::Now(next),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn every_minute() -> ScheduleEntry {
        ScheduleEntry::every("0 * * * * ?")
    }

    #[test]
    fn a_time_between_two_wakeups_is_due_once() {
        let (before, after) = (at("2026-01-01T00:00:50Z"), at("2026-01-01T00:01:20Z"));
        let minute = at("2026-01-01T00:01:00Z");
        assert_eq!(due(&every_minute(), before, after, None), Ok(Due::Now(minute)));
        let earlier = Some(at("2026-01-01T00:00:50Z"));
        assert_eq!(due(&every_minute(), before, after, earlier), Ok(Due::Now(minute)));
        let meanwhile = Some(at("2026-01-01T00:01:05Z"));
        assert_eq!(due(&every_minute(), before, after, meanwhile), Ok(Due::AlreadyScheduled));
        let next = at("2026-01-01T00:01:50Z");
        assert_eq!(due(&every_minute(), after, next, meanwhile), Ok(Due::At(at("2026-01-01T00:02:00Z"))));
    }

    #[test]
    fn the_moment_itself_is_due() {
        let minute = at("2026-01-01T00:01:00Z");
        assert_eq!(due(&every_minute(), at("2026-01-01T00:00:59Z"), minute, None), Ok(Due::Now(minute)));
        assert_eq!(due(&every_minute(), minute, minute, None), Ok(Due::At(at("2026-01-01T00:02:00Z"))));
    }

    #[test]
    fn what_is_off_or_over_is_never_due() {
        let off = ScheduleEntry { enabled: false, ..every_minute() };
        assert_eq!(due(&off, at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"), None), Ok(Due::Never));
        let over = ScheduleEntry::every("0 0 0 1 1 ? 2020");
        assert_eq!(due(&over, at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"), None), Ok(Due::Never));
    }

    #[test]
    fn a_wrong_expression_is_an_error_only_when_the_schedule_is_on() {
        let mut wrong = ScheduleEntry::every("every day");
        let (before, now) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:01:00Z"));
        assert!(due(&wrong, before, now, None).is_err());
        wrong.enabled = false;
        assert_eq!(due(&wrong, before, now, None), Ok(Due::Never));
        let missing = ScheduleEntry { interval: None, ..every_minute() };
        assert!(due(&missing, before, now, None).is_err());
    }
}
