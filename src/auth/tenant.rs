//! [`Tenant`]: what authentik's administrators set.

use drf::page::PageSizes;
use serde_json::Value;
use sqlx::FromRow;

use crate::contract::duration::parse_timedelta;
use crate::db::{Layout, Need};

/// What [`Tenant::ATTACHED`] reads.
pub(super) const NEEDS: &[Need] = &[
    Need::read(
        "authentik_tenants_tenant",
        "schema_name text, event_retention text, default_token_duration text, \
         pagination_default_page_size integer, pagination_max_page_size integer",
    ),
    Need::read(
        "authentik_brands_brand",
        "brand_uuid uuid, domain text, \"default\" boolean, branding_default_flow_background text",
    ),
];

/// What authentik's administrators set for their installation; read with the caller, so never stale.
#[derive(Debug, Clone, FromRow)]
pub struct Tenant {
    default_page_size: i32,
    max_page_size: i32,
    default_token_duration: Option<String>,
    /// How long audit events are kept, as a duration.
    pub event_retention: String,
    flow_background: String,
    /// The brand of the host that was asked, as audit events name it.
    pub brand: Option<Value>,
}

impl Tenant {
    /// SELECT expressions and joins for an own database: authentik's defaults.
    const OWN: (&'static str, &'static str) = (
        ", 20 AS default_page_size, 100 AS max_page_size, NULL::text AS default_token_duration, \
         'days=365' AS event_retention, '' AS flow_background, NULL::jsonb AS brand",
        "",
    );
    /// The same for authentik's. The brand is the one whose domain ends the host's name, else the default one.
    const ATTACHED: (&'static str, &'static str) = (
        ", tenant.pagination_default_page_size AS default_page_size, \
         tenant.pagination_max_page_size AS max_page_size, tenant.default_token_duration, tenant.event_retention, \
         coalesce(brand.branding_default_flow_background, '') AS flow_background, \
         jsonb_build_object('pk', replace(brand.brand_uuid::text, '-', ''), 'app', 'authentik_brands', \
           'model_name', 'brand', \
           'name', CASE WHEN brand.\"default\" THEN 'Default brand' ELSE 'Brand ' || brand.domain END) AS brand",
        " JOIN authentik_tenants_tenant tenant ON tenant.schema_name = current_schema() \
         LEFT JOIN LATERAL (SELECT b.brand_uuid, b.domain, b.\"default\", b.branding_default_flow_background FROM authentik_brands_brand b \
           WHERE b.\"default\" OR right((SELECT name FROM host), length(b.domain)) = lower(b.domain) \
           ORDER BY b.\"default\", length(b.domain) DESC LIMIT 1) brand ON TRUE",
    );

    /// SELECT expressions with a comma in front, and joins; `host (name)` is the host that was asked.
    pub fn sql(layout: &Layout) -> (&'static str, &'static str) {
        if layout.is_attached() { Self::ATTACHED } else { Self::OWN }
    }

    /// Rows a page.
    pub fn page_sizes(&self) -> PageSizes {
        PageSizes { default: self.default_page_size.into(), max: self.max_page_size.into() }
    }

    /// The background of flows that name none.
    pub fn flow_background(&self) -> &str {
        if self.flow_background.is_empty() { FLOW_BACKGROUND } else { &self.flow_background }
    }

    /// How long invitations and API tokens without an expiry live, where the tenant says so.
    pub fn default_token_duration(&self) -> Option<chrono::Duration> {
        self.default_token_duration.as_deref().and_then(parse_timedelta)
    }
}

/// authentik's own background.
const FLOW_BACKGROUND: &str = "/static/dist/assets/images/flow_background.jpg";
