//! Every sentence that Django, Django REST framework and django-filter answer with, and nowhere else: clients match on
//! them.

/// A required field is missing.
pub const REQUIRED: &str = "This field is required.";
/// `null` where none is allowed.
pub const NULL: &str = "This field may not be null.";
/// `""`, or white space alone.
pub const BLANK: &str = "This field may not be blank.";
/// Not a string or a number.
pub const NOT_A_STRING: &str = "Not a valid string.";
/// A NUL character.
pub const NULL_CHARACTERS: &str = "Null characters are not allowed.";
/// More search terms than a request may have; DRF has no limit.
pub fn too_many_terms(most: usize) -> String {
    format!("Search for no more than {most} terms.")
}
/// Not an integer.
pub const NOT_AN_INTEGER: &str = "A valid integer is required.";
/// More than 1000 characters where an integer belongs.
pub const INTEGER_TOO_LONG: &str = "String value too large.";
/// Not a boolean.
pub const NOT_A_BOOLEAN: &str = "Must be a valid boolean.";
/// Not an email address.
pub const NOT_AN_EMAIL: &str = "Enter a valid email address.";
/// Not a slug, where a model's text has Django's `validate_slug` (with typographic quotes).
pub const NOT_A_SLUG: &str = "Enter a valid “slug” consisting of letters, numbers, underscores or hyphens.";
/// Not a slug, where DRF's `SlugField` says so (with straight quotes).
pub const NOT_A_SLUG_FIELD: &str =
    "Enter a valid \"slug\" consisting of letters, numbers, underscores or hyphens.";
/// Not a point in time.
pub const NOT_A_DATETIME: &str = "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].";
/// A point in time that isn't between the years 1 and 9999 in UTC.
pub const DATETIME_OUT_OF_RANGE: &str = "Datetime value out of range.";
/// Not a JSON object.
pub const NOT_A_DICTIONARY: &str = "Value must be a dictionary, and not have any duplicate keys.";
/// The body is `null`.
pub const NO_DATA: &str = "No data provided";
/// Not a list.
pub fn expected_list(got: &str) -> String {
    format!("Expected a list of items but got type \"{got}\".")
}
/// The body, or a nested object, is not an object.
pub fn expected_dictionary(got: &str) -> String {
    format!("Invalid data. Expected a dictionary, but got {got}.")
}
/// Too many characters.
pub fn max_length(characters: usize) -> String {
    format!("Ensure this field has no more than {characters} characters.")
}
/// A list with too many items.
pub fn max_elements(most: usize) -> String {
    format!("Ensure this field has no more than {most} elements.")
}
/// Above the largest integer.
pub fn max_value(limit: i32) -> String {
    format!("Ensure this value is less than or equal to {limit}.")
}
/// Below the smallest integer.
pub fn min_value(limit: i32) -> String {
    format!("Ensure this value is greater than or equal to {limit}.")
}
/// Not one of the choices.
pub fn invalid_choice(value: &str) -> String {
    format!("\"{value}\" is not a valid choice.")
}
/// Not a UUID, where a key is expected.
pub fn invalid_uuid(value: &str) -> String {
    format!("“{value}” is not a valid UUID.")
}
/// The key of no row.
pub fn invalid_pk(value: &str) -> String {
    format!("Invalid pk \"{value}\" - object does not exist.")
}
/// Something that can't be a key at all.
pub fn incorrect_pk_type(got: &str) -> String {
    format!("Incorrect type. Expected pk value, received {got}.")
}
/// A set of values that another row has already.
pub fn unique_together(fields: &str) -> String {
    format!("The fields {fields} must make a unique set.")
}
/// A value that another row has already.
pub const UNIQUE: &str = "This field must be unique.";

/// `Accept` names nothing that we have.
pub const NOT_ACCEPTABLE: &str = "Could not satisfy the request Accept header.";
/// Too many requests; after so many seconds there may be another one.
pub fn throttled(seconds: u64) -> String {
    let plural = if seconds == 1 { "" } else { "s" };
    format!("Request was throttled. Expected available in {seconds} second{plural}.")
}
/// No credentials.
pub const NOT_AUTHENTICATED: &str = "Authentication credentials were not provided.";
/// A browser's request that another site may have made it send.
pub fn csrf_failed(reason: &str) -> String {
    format!("CSRF Failed: {reason}")
}
/// Not allowed.
pub const PERMISSION_DENIED: &str = "You do not have permission to perform this action.";
/// Not there, where the kind of object isn't known.
pub const NOT_FOUND: &str = "Not found.";
/// No such page.
pub const INVALID_PAGE: &str = "Invalid page.";
/// No such object.
pub fn no_match(model: &str) -> String {
    format!("No {model} matches the given query.")
}
/// The resource has no such method.
pub fn method_not_allowed(method: &str) -> String {
    format!("Method \"{method}\" not allowed.")
}
/// The body isn't JSON by its `Content-Type`.
pub fn unsupported_media_type(media_type: &str) -> String {
    format!("Unsupported media type \"{media_type}\" in request.")
}
/// The body isn't JSON.
pub fn parse_error(reason: &str) -> String {
    format!("JSON parse error - {reason}")
}

/// A query parameter isn't a number.
pub const FILTER_NUMBER: &str = "Enter a number.";
/// A query parameter isn't a UUID.
pub const FILTER_UUID: &str = "Enter a valid UUID.";
/// A query parameter isn't a point in time.
pub const FILTER_DATETIME: &str = "Enter a valid date/time.";
/// `?attributes=` isn't JSON.
pub const FILTER_NOT_JSON: &str = "filter: failed to parse JSON";
/// `?attributes=` isn't a JSON object.
pub const FILTER_NOT_A_MAPPING: &str = "filter: value must be key:value mapping";
/// A look-up in `?attributes=` doesn't take its value.
pub fn filter_lookup_value(key: &str, taken: &str) -> String {
    format!("filter: {key} takes {taken}")
}
/// A key in `?attributes=` has segments behind a look-up that nothing can follow.
pub fn filter_lookup_inside(key: &str, lookup: &str) -> String {
    format!("filter: {key} goes on behind the lookup {lookup}")
}
/// A key in `?attributes=` is an index beyond PostgreSQL's integers.
pub fn filter_lookup_index(key: &str) -> String {
    format!("filter: {key} is too large for an index")
}
/// A regular expression in `?attributes=` that PostgreSQL refuses, with its sentence.
pub fn filter_regex(reason: &str) -> String {
    format!("filter: {reason}")
}
/// A query parameter is the key of no row.
pub const FILTER_NO_SUCH_ROW: &str =
    "Select a valid choice. That choice is not one of the available choices.";
/// A query parameter can't be a number's key.
pub fn filter_value(value: &str) -> String {
    format!("“{value}” is not a valid value.")
}
/// A query parameter is not one of the choices.
pub fn filter_choice(value: &str) -> String {
    format!("Select a valid choice. {value} is not one of the available choices.")
}
