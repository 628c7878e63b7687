//! Every stage type that authentik has, as its API names it. Some of them are resources of ours; the others can only be
//! met in authentik's own database, and are listed there.

use drf::permission::Model;

/// A stage type.
#[derive(Debug, Clone, Copy)]
pub struct StageType {
    /// App label and model.
    pub model: Model,
    /// The element that shows its form.
    pub component: &'static str,
    /// Its name.
    pub verbose_name: &'static str,
    /// Its name for many.
    pub verbose_name_plural: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Only with a licence of authentik's.
    pub requires_enterprise: bool,
    /// On its way out.
    pub deprecated: bool,
    /// Only offered by an authentik in debug mode.
    pub debug: bool,
}

/// The base model, where the concrete type isn't known or isn't looked up.
pub const BASE: StageType = StageType {
    model: Model { app_label: "authentik_flows", name: "Stage", model: "stage" },
    component: "",
    verbose_name: "stage",
    verbose_name_plural: "stages",
    description: "",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Authenticator Validation Stages.
pub const AUTHENTICATOR_VALIDATE: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_authenticator_validate",
        name: "AuthenticatorValidationStage",
        model: "authenticatorvalidatestage",
    },
    component: "ak-stage-authenticator-validate-form",
    verbose_name: "Authenticator Validation Stage",
    verbose_name_plural: "Authenticator Validation Stages",
    description: "Validate user's configured Multi Factor Authentication.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Captcha Stages.
pub const CAPTCHA: StageType = StageType {
    model: Model { app_label: "authentik_stages_captcha", name: "CaptchaStage", model: "captchastage" },
    component: "ak-stage-captcha-form",
    verbose_name: "Captcha Stage",
    verbose_name_plural: "Captcha Stages",
    description: "Verify the user is human using Google's reCaptcha/other compatible CAPTCHA solutions.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Consent Stages.
pub const CONSENT: StageType = StageType {
    model: Model { app_label: "authentik_stages_consent", name: "ConsentStage", model: "consentstage" },
    component: "ak-stage-consent-form",
    verbose_name: "Consent Stage",
    verbose_name_plural: "Consent Stages",
    description: "Prompt the user for confirmation.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Deny Stages.
pub const DENY: StageType = StageType {
    model: Model { app_label: "authentik_stages_deny", name: "DenyStage", model: "denystage" },
    component: "ak-stage-deny-form",
    verbose_name: "Deny Stage",
    verbose_name_plural: "Deny Stages",
    description: "Cancels the current flow.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Dummy Stages.
pub const DUMMY: StageType = StageType {
    model: Model { app_label: "authentik_stages_dummy", name: "DummyStage", model: "dummystage" },
    component: "ak-stage-dummy-form",
    verbose_name: "Dummy Stage",
    verbose_name_plural: "Dummy Stages",
    description: "Used for debugging.",
    requires_enterprise: false,
    deprecated: false,
    debug: true,
};

/// Duo Authenticator Setup Stages.
pub const AUTHENTICATOR_DUO: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_authenticator_duo",
        name: "DuoAuthenticatorSetupStage",
        model: "authenticatorduostage",
    },
    component: "ak-stage-authenticator-duo-form",
    verbose_name: "Duo Authenticator Setup Stage",
    verbose_name_plural: "Duo Authenticator Setup Stages",
    description: "Setup Duo authentication for the user.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Email Authenticator Setup Stages.
pub const AUTHENTICATOR_EMAIL: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_authenticator_email",
        name: "EmailAuthenticatorSetupStage",
        model: "authenticatoremailstage",
    },
    component: "ak-stage-authenticator-email-form",
    verbose_name: "Email Authenticator Setup Stage",
    verbose_name_plural: "Email Authenticator Setup Stages",
    description: "Setup Email-based authentication for the user.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Email Stages.
pub const EMAIL: StageType = StageType {
    model: Model { app_label: "authentik_stages_email", name: "EmailStage", model: "emailstage" },
    component: "ak-stage-email-form",
    verbose_name: "Email Stage",
    verbose_name_plural: "Email Stages",
    description: "Send an Email to the user with a token to confirm their Email address.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Endpoint Authenticator Google Device Trust Connector Stages.
pub const AUTHENTICATOR_ENDPOINT_GDTC: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_authenticator_endpoint_gdtc",
        name: "EndpointAuthenticatorGoogleDeviceTrustConnectorStage",
        model: "authenticatorendpointgdtcstage",
    },
    component: "ak-stage-authenticator-endpoint-gdtc-form",
    verbose_name: "Endpoint Authenticator Google Device Trust Connector Stage",
    verbose_name_plural: "Endpoint Authenticator Google Device Trust Connector Stages",
    description: "Verify Google Chrome Device Trust connection for the user's browser.",
    requires_enterprise: true,
    deprecated: true,
    debug: false,
};

/// Endpoint Stages.
pub const ENDPOINT: StageType = StageType {
    model: Model { app_label: "authentik_endpoints", name: "EndpointStage", model: "endpointstage" },
    component: "ak-endpoints-stage-form",
    verbose_name: "Endpoint Stage",
    verbose_name_plural: "Endpoint Stages",
    description: "Stage which associates the currently used device with the current session.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Identification Stages.
pub const IDENTIFICATION: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_identification",
        name: "IdentificationStage",
        model: "identificationstage",
    },
    component: "ak-stage-identification-form",
    verbose_name: "Identification Stage",
    verbose_name_plural: "Identification Stages",
    description: "Identify the user for authentication.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Invitation Stages.
pub const INVITATION: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_invitation",
        name: "InvitationStage",
        model: "invitationstage",
    },
    component: "ak-stage-invitation-form",
    verbose_name: "Invitation Stage",
    verbose_name_plural: "Invitation Stages",
    description: "Simplify enrollment; allow users to use a single\nlink to create their user with pre-defined parameters.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Mutual TLS Stages.
pub const MTLS: StageType = StageType {
    model: Model { app_label: "authentik_stages_mtls", name: "MutualTLSStage", model: "mutualtlsstage" },
    component: "ak-stage-mtls-form",
    verbose_name: "Mutual TLS Stage",
    verbose_name_plural: "Mutual TLS Stages",
    description: "Authenticate/enroll users using a client-certificate.",
    requires_enterprise: true,
    deprecated: false,
    debug: false,
};

/// Password Stages.
pub const PASSWORD: StageType = StageType {
    model: Model { app_label: "authentik_stages_password", name: "PasswordStage", model: "passwordstage" },
    component: "ak-stage-password-form",
    verbose_name: "Password Stage",
    verbose_name_plural: "Password Stages",
    description: "Prompt the user for their password, and validate it against the configured backends.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Prompt Stages.
pub const PROMPT: StageType = StageType {
    model: Model { app_label: "authentik_stages_prompt", name: "PromptStage", model: "promptstage" },
    component: "ak-stage-prompt-form",
    verbose_name: "Prompt Stage",
    verbose_name_plural: "Prompt Stages",
    description: "Prompt the user to enter information.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Redirect Stages.
pub const REDIRECT: StageType = StageType {
    model: Model { app_label: "authentik_stages_redirect", name: "RedirectStage", model: "redirectstage" },
    component: "ak-stage-redirect-form",
    verbose_name: "Redirect Stage",
    verbose_name_plural: "Redirect Stages",
    description: "Redirect the user to another flow, potentially with all gathered context.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// SMS Authenticator Setup Stages.
pub const AUTHENTICATOR_SMS: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_authenticator_sms",
        name: "SMSAuthenticatorSetupStage",
        model: "authenticatorsmsstage",
    },
    component: "ak-stage-authenticator-sms-form",
    verbose_name: "SMS Authenticator Setup Stage",
    verbose_name_plural: "SMS Authenticator Setup Stages",
    description: "Use SMS-based TOTP instead of authenticator-based.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// Source Stages.
pub const SOURCE: StageType = StageType {
    model: Model { app_label: "authentik_stages_source", name: "SourceStage", model: "sourcestage" },
    component: "ak-stage-source-form",
    verbose_name: "Source Stage",
    verbose_name_plural: "Source Stages",
    description: "Suspend the current flow execution and send the user to a federated source,\nafter which this flow execution is resumed.",
    requires_enterprise: true,
    deprecated: false,
    debug: false,
};

/// Static Authenticator Setup Stages.
pub const AUTHENTICATOR_STATIC: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_authenticator_static",
        name: "StaticAuthenticatorSetupStage",
        model: "authenticatorstaticstage",
    },
    component: "ak-stage-authenticator-static-form",
    verbose_name: "Static Authenticator Setup Stage",
    verbose_name_plural: "Static Authenticator Setup Stages",
    description: "Setup static token based authentication for the user.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// TOTP Authenticator Setup Stages.
pub const AUTHENTICATOR_TOTP: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_authenticator_totp",
        name: "TOTPAuthenticatorSetupStage",
        model: "authenticatortotpstage",
    },
    component: "ak-stage-authenticator-totp-form",
    verbose_name: "TOTP Authenticator Setup Stage",
    verbose_name_plural: "TOTP Authenticator Setup Stages",
    description: "Setup Time-based OTP authentication for the user.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// User Delete Stages.
pub const USER_DELETE: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_user_delete",
        name: "UserDeleteStage",
        model: "userdeletestage",
    },
    component: "ak-stage-user-delete-form",
    verbose_name: "User Delete Stage",
    verbose_name_plural: "User Delete Stages",
    description: "Delete the pending user without confirmation.\nUse with caution.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// User Login Stages.
pub const USER_LOGIN: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_user_login",
        name: "UserLoginStage",
        model: "userloginstage",
    },
    component: "ak-stage-user-login-form",
    verbose_name: "User Login Stage",
    verbose_name_plural: "User Login Stages",
    description: "Attach the pending user to the current session.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// User Logout Stages.
pub const USER_LOGOUT: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_user_logout",
        name: "UserLogoutStage",
        model: "userlogoutstage",
    },
    component: "ak-stage-user-logout-form",
    verbose_name: "User Logout Stage",
    verbose_name_plural: "User Logout Stages",
    description: "Ends the user's session.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// User Write Stages.
pub const USER_WRITE: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_user_write",
        name: "UserWriteStage",
        model: "userwritestage",
    },
    component: "ak-stage-user-write-form",
    verbose_name: "User Write Stage",
    verbose_name_plural: "User Write Stages",
    description: "Write pending data into the pending user, or if no user exists,\ncreate a new user with the data.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// `WebAuthn` Authenticator Setup Stages.
pub const AUTHENTICATOR_WEBAUTHN: StageType = StageType {
    model: Model {
        app_label: "authentik_stages_authenticator_webauthn",
        name: "WebAuthnAuthenticatorSetupStage",
        model: "authenticatorwebauthnstage",
    },
    component: "ak-stage-authenticator-webauthn-form",
    verbose_name: "WebAuthn Authenticator Setup Stage",
    verbose_name_plural: "WebAuthn Authenticator Setup Stages",
    description: "Setup WebAuthn-based authentication for the user.",
    requires_enterprise: false,
    deprecated: false,
    debug: false,
};

/// All types by name.
pub const ALL: &[StageType] = &[
    AUTHENTICATOR_VALIDATE,
    CAPTCHA,
    CONSENT,
    DENY,
    DUMMY,
    AUTHENTICATOR_DUO,
    AUTHENTICATOR_EMAIL,
    EMAIL,
    AUTHENTICATOR_ENDPOINT_GDTC,
    ENDPOINT,
    IDENTIFICATION,
    INVITATION,
    MTLS,
    PASSWORD,
    PROMPT,
    REDIRECT,
    AUTHENTICATOR_SMS,
    SOURCE,
    AUTHENTICATOR_STATIC,
    AUTHENTICATOR_TOTP,
    USER_DELETE,
    USER_LOGIN,
    USER_LOGOUT,
    USER_WRITE,
    AUTHENTICATOR_WEBAUTHN,
];

impl StageType {
    /// The type whose rows stand in `table`. Django cuts a table's name at 63 characters, the last four of them a hash.
    pub fn of_table(table: &str) -> Option<&'static Self> {
        const LIMIT: usize = 63;
        const HASH: usize = 4;
        ALL.iter().find(|stage_type| {
            let full = format!("{}_{}", stage_type.model.app_label, stage_type.model.model);
            table == full
                || (table.len() == LIMIT
                    && full.len() > LIMIT
                    && table[..LIMIT - HASH] == full[..LIMIT - HASH])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_types_by_table() {
        let label = |table| StageType::of_table(table).map(|stage_type| stage_type.model.label());
        assert_eq!(
            label("authentik_stages_email_emailstage").as_deref(),
            Some("authentik_stages_email.emailstage")
        );
        assert_eq!(
            label("authentik_stages_authenticator_webauthn_authenticatorwebaut8d0f").as_deref(),
            Some("authentik_stages_authenticator_webauthn.authenticatorwebauthnstage")
        );
        assert_eq!(label("authentik_stages_unknown_unknownstage"), None);
    }

    #[test]
    fn types_are_sorted_by_name() {
        assert!(ALL.is_sorted_by_key(|stage_type| stage_type.verbose_name));
    }
}
