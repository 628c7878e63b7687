module ak-stages/tests/clients/go

go 1.23

require goauthentik.io/api/v3 v3.0.0

// What ../run generates as authentik does it. Without this line and with a published version above, go fetches that.
replace goauthentik.io/api/v3 => ../../../target/clients/go/api
