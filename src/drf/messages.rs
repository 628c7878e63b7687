//! Every sentence that Django, Django REST framework, django-filter or authentik answers with, and nowhere else:
//! clients match on them.

use chrono::{DateTime, Utc};

use super::time;

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
/// Not an integer.
pub const NOT_AN_INTEGER: &str = "A valid integer is required.";
/// More than 1000 characters where an integer belongs.
pub const INTEGER_TOO_LONG: &str = "String value too large.";
/// Not a boolean.
pub const NOT_A_BOOLEAN: &str = "Must be a valid boolean.";
/// Not an email address.
pub const NOT_AN_EMAIL: &str = "Enter a valid email address.";
/// Not a slug (with Django's typographic quotes).
pub const NOT_A_SLUG: &str = "Enter a valid “slug” consisting of letters, numbers, underscores or hyphens.";
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
/// Not a duration such as `hours=3;minutes=1`.
pub fn invalid_timedelta(value: &str) -> String {
    format!("{value} is not in the correct format of 'hours=3;minutes=1'.")
}
/// A binding that is never evaluated.
pub const NEVER_EVALUATED: &str = "Either evaluation on plan or evaluation on run must be enabled";
/// A set of values that another row has already.
pub fn unique_together(fields: &str) -> String {
    format!("The fields {fields} must make a unique set.")
}
/// A value that another row has already.
pub const UNIQUE: &str = "This field must be unique.";
/// The path of a user that starts or ends with a slash.
pub const SLASH_AROUND: &str = "No leading or trailing slashes allowed.";
/// The path of a user with `//` in it.
pub const EMPTY_SEGMENT: &str = "No empty segments in user path allowed.";
/// A new user of the type that authentik keeps for itself.
pub const NO_INTERNAL_SERVICE_ACCOUNT: &str = "Setting a user to internal service account is not allowed.";
/// Another type for a user of the type that authentik keeps for itself.
pub const STAYS_INTERNAL_SERVICE_ACCOUNT: &str = "Can't change internal service account to other user type.";
/// Any change of a user of that type.
pub const INTERNAL_SERVICE_ACCOUNT: &str = "Can't modify internal service account users";
/// A file name that leads out of its directory.
pub const PARENT_DIRECTORY: &str = "Parent directory references ('..') are not allowed";
/// A file name from the root.
pub const ABSOLUTE_PATH: &str = "Absolute paths are not allowed";
/// A file name with an empty directory.
pub const DOUBLE_SLASH: &str = "Double slashes are not allowed";
/// A file name with something else than `a-zA-Z0-9._/-`.
pub const INVALID_FILE_NAME: &str = "File name can only contain letters (a-z, A-Z), numbers (0-9), dots (.), hyphens (-), underscores (_), forward slashes (/), and the placeholder %(theme)s for theme-specific files";
/// A token of somebody else's.
pub const TOKEN_USER: &str = "User cannot be changed";
/// An app password that lives too long.
pub fn token_lifetime(latest: &DateTime<Utc>) -> String {
    format!("Token expires exceeds maximum lifetime ({} UTC).", time::python_str(latest))
}
/// Neither `api` nor `app_password`.
pub fn invalid_intent(intent: &str) -> String {
    format!("Invalid intent {intent}")
}
/// Only some may make a group of superusers, or unmake it.
pub fn superuser_status(status: bool) -> String {
    let status = if status { "True" } else { "False" };
    format!("User does not have permission to set superuser status to {status}.")
}
/// Not one of the email templates.
pub fn invalid_template(value: &str) -> String {
    format!("Invalid template '{value}' specified.")
}
/// The row that this one refers to, or that refers to it, changed under the request.
pub const CHANGED_MEANWHILE: &str = "The object was changed by another request at the same time. Try again.";
/// The role that ak-stages has in the database lacks a privilege.
pub fn database_role(sentence: &str) -> String {
    format!("The database role of ak-stages may not do this: {sentence}")
}
/// Something hangs on the object that can only be deleted through authentik.
pub fn in_use(table: &str) -> String {
    format!("The object is in use by rows of {table}, which only authentik can delete.")
}
/// Longer than an index of PostgreSQL can hold.
pub const TOO_LONG_FOR_INDEX: &str = "Ensure this object has no text that is too long to be indexed.";

/// `Accept` names nothing that we have.
pub const NOT_ACCEPTABLE: &str = "Could not satisfy the request Accept header.";
/// No credentials.
pub const NOT_AUTHENTICATED: &str = "Authentication credentials were not provided.";
/// An unknown or expired token, or one of an inactive user.
pub const INVALID_TOKEN: &str = "Token invalid/expired";
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
/// The body is larger than we take (authentik has no such answer; Django's own limit is the figure).
pub const TOO_LARGE: &str = "Request body exceeded the limit of 2621440 bytes.";
/// Something failed on our side.
pub const INTERNAL: &str = "Internal Server Error";
/// No database connection became free in time.
pub const OVERLOADED: &str = "The server is overloaded. Try again.";

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
/// A look-up in `?attributes=` doesn't take its value (authentik drops the whole filter, or fails).
pub fn filter_lookup_value(key: &str, taken: &str) -> String {
    format!("filter: {key} takes {taken}")
}
/// A key in `?attributes=` has segments behind a look-up that nothing can follow (authentik fails).
pub fn filter_lookup_inside(key: &str, lookup: &str) -> String {
    format!("filter: {key} goes on behind the lookup {lookup}")
}
/// A key in `?attributes=` is an index beyond PostgreSQL's integers (authentik fails).
pub fn filter_lookup_index(key: &str) -> String {
    format!("filter: {key} is too large for an index")
}
/// A regular expression in `?attributes=` that PostgreSQL refuses, with its sentence (authentik fails).
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
