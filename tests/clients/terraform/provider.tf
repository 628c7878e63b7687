# The release of authentik's provider that ../run gets from the registry.

terraform {
  required_providers {
    authentik = {
      source  = "goauthentik/authentik"
      version = "2026.8.0"
    }
  }
}
