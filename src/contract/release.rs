//! The releases of authentik whose contract is kept.

use drf::field::Version;

/// The version whose contract the OpenAPI document states.
pub const CONTRACT_VERSION: &str = "2026.5.0";

/// The supported releases of authentik's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// 2025.12
    V2025_12,
    /// 2026.2: two more layouts of flows.
    V2026_2,
    /// 2026.5: the template `email/invitation.html`.
    V2026_5,
}

impl Release {
    /// The release that a version belongs to, such as `2025.12` or `2025.12.4`; `None` where it isn't one that we know.
    pub fn of(version: &str) -> Option<Self> {
        let known = [("2025.12", Self::V2025_12), ("2026.2", Self::V2026_2), ("2026.5", Self::V2026_5)];
        let fits = |release: &str| version == release || version.starts_with(&format!("{release}."));
        known.into_iter().find(|(release, _)| fits(release)).map(|(_, release)| release)
    }

    /// The version that our own database stands for.
    pub fn version(self) -> &'static str {
        match self {
            Self::V2025_12 => "2025.12.4",
            Self::V2026_2 => "2026.2.0",
            Self::V2026_5 => CONTRACT_VERSION,
        }
    }

    /// Its place among the versions of the API: year and month.
    pub const fn api(self) -> Version {
        Version(match self {
            Self::V2025_12 => 202_512,
            Self::V2026_2 => 202_602,
            Self::V2026_5 => 202_605,
        })
    }
}
