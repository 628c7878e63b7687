//! The Django REST framework dialect: fields, validation, query parameters, pages, errors and viewsets.
//!
//! Nothing in here knows a stage. A resource declares itself once ([`resource::Resource`]) and everything in this
//! module follows from that declaration. The rules are those of Django 5.2, Django REST framework 3.16 and
//! django-filter 25 as authentik runs them.

pub mod email;
pub mod errors;
pub mod field;
pub mod intake;
pub mod json;
pub mod json_lookup;
pub mod json_lookup_sql;
pub mod messages;
pub mod metadata;
pub mod negotiation;
pub mod openapi;
pub mod page;
pub mod params;
pub mod python;
pub mod resource;
pub mod rules;
pub mod sql;
pub mod time;
pub mod viewset;
