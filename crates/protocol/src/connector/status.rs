//! The life of a connector.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a connector is in its life. A null status is read as `created`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectorStatus {
    /// The document exists, no service has seen it.
    #[default]
    Created,
    /// The source's default configuration is written; someone has to fill it in.
    NeedsConfiguration,
    /// Someone filled it in.
    Configured,
    /// The source answered, or a sync started or ended without error.
    Connected,
    /// The configuration, the source or the last sync failed.
    Error,
}

/// A change of status the protocol does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a connector that is {from} cannot become {to}")]
pub struct IllegalConnectorTransition {
    /// Present status.
    pub from: ConnectorStatus,
    /// Refused status.
    pub to: ConnectorStatus,
}

impl ConnectorStatus {
    /// All statuses, in the order of a connector's life.
    pub const ALL: [Self; 5] =
        [Self::Created, Self::NeedsConfiguration, Self::Configured, Self::Connected, Self::Error];

    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::NeedsConfiguration => "needs_configuration",
            Self::Configured => "configured",
            Self::Connected => "connected",
            Self::Error => "error",
        }
    }

    /// Whether syncs are scheduled: not before someone has configured the connector.
    pub const fn can_be_scheduled(self) -> bool {
        !matches!(self, Self::Created | Self::NeedsConfiguration)
    }

    /// Whether a connector may go from this status to `next`. Staying is always allowed. Nothing becomes `created`
    /// again, and what is `created` has no configuration yet, so it cannot be `connected`. `needs_configuration` may
    /// become `connected` at once: a source whose defaults are all it needs. The way back to `needs_configuration` is
    /// an emptied configuration.
    pub const fn can_become(self, next: Self) -> bool {
        match next {
            Self::Created => matches!(self, Self::Created),
            Self::Connected => !matches!(self, Self::Created),
            Self::NeedsConfiguration | Self::Configured | Self::Error => true,
        }
    }

    /// Whether a user of the connector API may set this status to `next`. Narrower than [`can_become`](Self::can_become),
    /// which is for services: the table is that of Elasticsearch's connector state machine.
    pub const fn can_be_set_to(self, next: Self) -> bool {
        use ConnectorStatus::{Configured, Connected, Created, Error, NeedsConfiguration};
        match self {
            Created => matches!(next, NeedsConfiguration | Error),
            NeedsConfiguration => matches!(next, Configured | Error),
            Configured => !matches!(next, Created),
            Connected | Error => matches!(next, Connected | Configured | Error),
        }
    }

    /// The status after the connector got another service type: its configuration is another source's.
    #[must_use]
    pub const fn with_new_service_type(self) -> Self {
        if matches!(self, Self::Created) { Self::Created } else { Self::NeedsConfiguration }
    }

    /// The status after somebody else (Elastic, or the user) is to run the connector: it has to connect again.
    #[must_use]
    pub const fn with_new_host(self) -> Self {
        if matches!(self, Self::Connected) { Self::Configured } else { self }
    }

    /// The status with this wire name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name().eq_ignore_ascii_case(name))
    }

    /// `next`, if [`can_become`](Self::can_become) allows it.
    pub fn to(self, next: Self) -> Result<Self, IllegalConnectorTransition> {
        if self.can_become(next) {
            Ok(next)
        } else {
            Err(IllegalConnectorTransition { from: self, to: next })
        }
    }
}

impl fmt::Display for ConnectorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
