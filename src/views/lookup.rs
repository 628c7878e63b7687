//! What lists and look-ups have in common: the caller's scope, the search and the filters.

use drf::Declaration;
use drf::declaration::PathKey;
use drf::page::{PageNumber, PageRequest};
use drf::params::{self, Condition};
use drf::search;
use serde_json::json;
use sqlx::PgConnection;

use super::view_set::{self, Object, ViewSet};
use super::{Answer, Context, Resource};
use crate::auth::Scope;
use crate::db::proof::Seen;
use crate::db::search::Search;
use crate::db::statements::{self, Lock, Selection};
use crate::db::{Layout, lookups};
use crate::error::ApiError;

/// See the module.
pub struct Lens<'a> {
    declared: &'static Declaration,
    layout: &'a Layout,
    scope: Scope,
    seen: Option<&'a Seen>,
    search: Search,
    filters: params::Filters,
}

impl<'a> Lens<'a> {
    /// What a request asks for.
    ///
    /// # Errors
    /// 400 for a filter that can't be, 403 for somebody who sees nothing and asks for some of it.
    pub async fn read<R: Resource>(
        context: Context<'a>,
        connection: &mut PgConnection,
    ) -> Result<Self, ApiError> {
        Self::of(view_set::of::<R>(), context, connection).await
    }

    /// The same of a resource, whichever it is.
    pub(super) async fn of(
        view_set: &dyn ViewSet,
        context: Context<'a>,
        connection: &mut PgConnection,
    ) -> Result<Self, ApiError> {
        let (declared, scope) = (view_set.declaration(), view_set.scope(context.caller));
        let terms = search::terms(context.query, context.app.settings.search_terms)
            .map_err(|sentence| ApiError::Validation(json!([sentence])))?;
        let search = Search::of(connection, declared, terms).await?;
        let mut lens = Self {
            declared,
            layout: &context.app.database.layout,
            scope,
            seen: context.seen,
            search,
            filters: params::Filters::default(),
        };
        if !context.query.is_empty() {
            // Filters count only for those who see something at all.
            lens.refuse_if_nothing(connection).await?;
        }
        lens.filters = params::filters(lens.declared, context.query, lens.layout.release().api())
            .map_err(ApiError::Validation)?;
        if let Some((name, sentence)) = lookups::missing(connection, &lens.filters.existing).await? {
            return Err(ApiError::field(name, sentence));
        }
        Ok(lens)
    }

    fn selection<'s>(&'s self, conditions: &'s [Condition]) -> Selection<'s> {
        let Self { layout, scope, search, seen, .. } = self;
        Selection { layout, scope, search, conditions, seen: *seen }
    }

    /// The rows that the caller sees and the query asks for.
    pub fn filtered(&self) -> Selection<'_> {
        self.selection(&self.filters.conditions)
    }

    /// authentik refuses those who see no row, rather than show them an empty list. The search runs before that
    /// decision, the filters after it.
    ///
    /// # Errors
    /// 403 for those.
    pub async fn refuse_if_nothing(&self, connection: &mut PgConnection) -> Result<(), ApiError> {
        if !self.scope.empty_is_denied() {
            return Ok(());
        }
        let visible = statements::count(connection, self.declared, &self.selection(&[])).await?;
        if visible == 0 { Err(ApiError::PermissionDenied) } else { Ok(()) }
    }
}

/// The first of the objects for which all conditions hold, if the caller sees one.
///
/// # Errors
/// The database failed.
pub(super) async fn first(
    view_set: &dyn ViewSet,
    context: Context<'_>,
    connection: &mut PgConnection,
    conditions: &[Condition],
) -> Result<Option<Answer>, ApiError> {
    let lens = Lens::of(view_set, context, connection).await?;
    let Some(page) = PageRequest { size: 1, number: Some(PageNumber::Number(1)) }.locate(1) else {
        return Ok(None);
    };
    let order = lens.declared.default_order;
    let selection = lens.selection(conditions);
    Ok(view_set.page(context, connection, selection, order, &page).await?.pop())
}

/// The object that a path names, if the caller sees it.
///
/// # Errors
/// 403 for those who see none at all, 404 otherwise.
pub(super) async fn find(
    view_set: &dyn ViewSet,
    context: Context<'_>,
    connection: &mut PgConnection,
    text: &str,
    lock: Option<Lock>,
) -> Result<Box<dyn Object>, ApiError> {
    let lens = Lens::of(view_set, context, connection).await?;
    let key = PathKey::read(lens.declared.lookup.kind, text);
    let found = match &key {
        Some(key) => view_set.find(connection, lens.filtered(), key, lock).await?,
        None => None,
    };
    match found {
        Some(object) => Ok(object),
        None => {
            lens.refuse_if_nothing(connection).await?;
            Err(match key {
                Some(_) => ApiError::no_match(lens.declared.model.name),
                None => ApiError::not_found(),
            })
        }
    }
}
